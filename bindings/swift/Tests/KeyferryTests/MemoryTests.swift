#if os(Linux)
import Foundation
import XCTest

@testable import Keyferry

/// Reads the memory that the process uses from /proc.
final class MemoryTests: BackupTestCase {
    func testMemoryUseStaysFlatWithASlowReaderAndASlowSink() async throws {
        // The first restore allocates the memory that every restore needs.
        try await restore(keys: 20_000, dawdle: 0)
        let before = try residentBytes()
        let most = HighWaterMark()
        let watch = Task {
            while !Task.isCancelled {
                most.note(try residentBytes())
                try await Task.sleep(nanoseconds: 10_000_000)
            }
        }
        try await restore(keys: 80_000, dawdle: 2_000_000)
        watch.cancel()
        let growth = (most.value - before) / 1_048_576
        print("memory grew by \(growth) MiB over a backup of \(80_000 * 860 / 1_048_576) MiB")
        XCTAssertGreaterThan(most.value, 0)
        XCTAssertLessThan(growth, 32)
    }

    private func restore(keys: Int, dawdle: UInt64) async throws {
        let homeserver = try TestHomeserver(keys: keys, rooms: 8)
        let sink = ClosureSink { keys in
            try? await Task.sleep(nanoseconds: 10 * dawdle)
            return keys.map { _ in .imported }
        }
        let transport = SlowReader(dawdle: dawdle)
        let backup = try await open(homeserver, in: newDirectory(), transport: transport, sink: sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let report = try await notHanging { await backup.run() }
        assertCompleted(report.outcome)
        XCTAssertEqual(report.summary.delivered, UInt64(keys))
        backup.close()
    }
}

private func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try XCTUnwrap(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    return try XCTUnwrap(Int(line.filter(\.isNumber))) * 1024
}

/// Waits before every chunk.
private final class SlowReader: HttpTransport {
    private let transport = URLSessionTransport()
    private let dawdle: UInt64

    init(dawdle: UInt64) {
        self.dawdle = dawdle
    }

    func start(request: TransportRequest) throws -> HttpExchange {
        SlowExchange(exchange: try transport.start(request: request), dawdle: dawdle)
    }

    func closeIdle() throws {
        try transport.closeIdle()
    }

    private final class SlowExchange: HttpExchange {
        private let exchange: any HttpExchange
        private let dawdle: UInt64

        init(exchange: any HttpExchange, dawdle: UInt64) {
            self.exchange = exchange
            self.dawdle = dawdle
        }

        func head() async throws -> TransportHead { try await exchange.head() }

        func nextChunk() async throws -> Data? {
            try await Task.sleep(nanoseconds: dawdle)
            return try await exchange.nextChunk()
        }

        func cancel() throws { try exchange.cancel() }
    }
}
#endif
