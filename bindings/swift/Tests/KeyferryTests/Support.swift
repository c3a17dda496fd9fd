import Foundation
import XCTest

@testable import Keyferry

/// Records the keys it is given.
actor Recorder {
    private(set) var keys: [RoomKey] = []
    private(set) var batches = 0

    func take(_ batch: [RoomKey]) -> [SinkAnswer] {
        batches += 1
        keys += batch
        return batch.map { _ in .imported }
    }

    /// The room id and session id of each key.
    var names: Set<String> {
        Set(keys.map { $0.roomId + " " + $0.sessionId })
    }

    nonisolated var sink: ClosureSink {
        ClosureSink { await self.take($0) }
    }
}

/// Keeps the wake-ups that were requested, as the OS would.
actor WakeUps {
    private var kept: [WakeUpPurpose: WakeUp] = [:]

    func take(_ purpose: WakeUpPurpose, _ wakeUp: WakeUp?) {
        kept[purpose] = wakeUp
    }

    func latest(_ purpose: WakeUpPurpose) -> WakeUp? {
        kept[purpose]
    }
}

/// Thrown if a call hangs.
struct Hangs: Error {}

/// The outcome of a run that got the whole backup in one answer.
let whole = RunOutcome.completed(proof: .whole, acceptedShortfall: 0)

/// Asserts that the run completed, in one answer or, if an answer was cut, in several.
func assertCompleted(_ outcome: RunOutcome?, file: StaticString = #filePath, line: UInt = #line) {
    guard case .completed? = outcome else {
        return XCTFail("\(String(describing: outcome))", file: file, line: line)
    }
}

/// Runs `work` and gives up after a minute.
func notHanging<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let (results, continuation) = AsyncStream.makeStream(of: Result<Value, any Error>.self)
    let worker = Task {
        do { continuation.yield(.success(try await work())) } catch { continuation.yield(.failure(error)) }
    }
    let clock = Task {
        try await Task.sleep(nanoseconds: 60_000_000_000)
        continuation.yield(.failure(Hangs()))
    }
    defer {
        worker.cancel()
        clock.cancel()
    }
    for await result in results { return try result.get() }
    throw Hangs()
}

/// Waits until a run is fetching.
func waitUntilFetching(_ progress: AsyncStream<DownloadProgress>) async throws {
    try await notHanging { for await value in progress where value.stage == .fetching { break } }
}

/// Fails unless `work` throws `expected`.
func assertThrows<Failure: Error & Equatable>(
    _ expected: Failure,
    file: StaticString = #filePath,
    line: UInt = #line,
    _ work: () async throws -> Void
) async {
    do {
        try await work()
        XCTFail("nothing was thrown, expected \(expected)", file: file, line: line)
    } catch {
        XCTAssertEqual(error as? Failure, expected, "thrown: \(error)", file: file, line: line)
    }
}

/// Reads an answer to its end and returns the number of bytes of its body.
func drain(_ exchange: any HttpExchange) async throws -> Int {
    _ = try await exchange.head()
    var bytes = 0
    while let chunk = try await exchange.nextChunk() { bytes += chunk.count }
    return bytes
}

/// A test case that deletes its directories at the end.
class BackupTestCase: XCTestCase {
    private var directories: [URL] = []
    let vaultKey = Data((0..<32).map { UInt8($0) })

    override func tearDown() {
        for directory in directories { try? FileManager.default.removeItem(at: directory) }
    }

    func newDirectory() throws -> URL {
        let name = "keyferry-" + UUID().uuidString
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        directories.append(directory)
        return directory
    }

    /// Opens a backup that is another one than those that are open in this process.
    func open(
        _ homeserver: TestHomeserver,
        in directory: URL,
        transport: any HttpTransport = URLSessionTransport(),
        sink: (any RoomKeySink)? = nil,
        crypto: TestCrypto? = nil,
        wakeUps: WakeUps = WakeUps()
    ) async throws -> KeyBackup {
        let token = homeserver.details.accessToken
        let host = HostCallbacks(
            accessToken: { _ in token },
            roomsByPriority: { [] },
            resolvePreferenceConflict: { _ in .askLater },
            scheduleWakeUp: { purpose, wakeUp in await wakeUps.take(purpose, wakeUp) }
        )
        let options = ClientOptions(
            account: homeserver.account,
            dataDir: directory.path,
            protection: .key(key: vaultKey),
            preference: nil,
            download: nil,
            processName: nil,
            fileDownloads: nil,
            secretKeeper: crypto,
            backupSigner: crypto,
            roomKeySource: crypto
        )
        return try await KeyBackup.make(options, transport: transport, sink: sink, host: host)
    }
}
