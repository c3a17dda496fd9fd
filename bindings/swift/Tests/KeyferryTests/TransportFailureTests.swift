import XCTest

@testable import Keyferry

final class TransportFailureTests: XCTestCase {
    private let transport = URLSessionTransport()

    func testCancelEndsAWaitForTheHead() async throws {
        let homeserver = try TestHomeserver(keys: 1, rooms: 1)
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        let exchange = try transport.start(request: homeserver.everything)
        let wait = Task { try await exchange.head() }
        try await Task.sleep(nanoseconds: 200_000_000)
        try exchange.cancel()
        try exchange.cancel()
        await assertThrows(TransportError.closed) { _ = try await notHanging { try await wait.value } }
    }

    func testCancelEndsAWaitForTheBody() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 1)
        try await homeserver.setFaults(#"[{"kind":"stall","after_bytes":1000}]"#)
        let exchange = try transport.start(request: homeserver.everything)
        let wait = Task { try await drain(exchange) }
        try await Task.sleep(nanoseconds: 300_000_000)
        try exchange.cancel()
        await assertThrows(TransportError.closed) { _ = try await notHanging { try await wait.value } }
    }

    func testACancelledTaskEndsItsWait() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 1)
        try await homeserver.setFaults(#"[{"kind":"stall","after_bytes":1000}]"#)
        let exchange = try transport.start(request: homeserver.everything)
        let wait = Task { try await drain(exchange) }
        try await Task.sleep(nanoseconds: 300_000_000)
        wait.cancel()
        await assertThrows(TransportError.closed) { _ = try await notHanging { try await wait.value } }
    }

    func testASilentServerCausesATimeout() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 1)
        for fault in [#"{"kind":"silence"}"#, #"{"kind":"stall","after_bytes":1000}"#] {
            try await homeserver.setFaults("[\(fault)]")
            let path = "/room_keys/keys?version=" + homeserver.details.backupVersion
            let exchange = try transport.start(request: homeserver.request(path, idleTimeout: .milliseconds(400)))
            await assertThrows(TransportError.timeout) { _ = try await notHanging { try await drain(exchange) } }
        }
    }

    func testABodyThatEndsTooSoonIsAnError() async throws {
        let homeserver = try TestHomeserver(keys: 1_000, rooms: 1)
        let faults = [
            #"{"kind":"cut_body","after_bytes":100000}"#,
            #"{"kind":"cut_body","after_bytes":0}"#,
            #"{"kind":"reset","after_bytes":100000}"#,
            #"{"kind":"wrong_length","declared":9000000}"#,
        ]
        for fault in faults {
            try await homeserver.setFaults("[\(fault)]")
            let exchange = try transport.start(request: homeserver.everything)
            await assertThrows(TransportError.interrupted) {
                _ = try await notHanging { try await drain(exchange) }
            }
        }
    }

    func testAnUnreachableServerCountsAsOffline() async throws {
        let homeserver = try TestHomeserver(keys: 1, rooms: 1)
        let request = homeserver.everything
        homeserver.stop()
        let exchange = try transport.start(request: request)
        await assertThrows(TransportError.offline) { _ = try await notHanging { try await exchange.head() } }
    }

    func testAnExchangeCanBeCancelledAtAnyMoment() async throws {
        let homeserver = try TestHomeserver(keys: 2_000, rooms: 3)
        for round in 0..<60 {
            let exchange = try transport.start(request: homeserver.everything)
            let wait = Task { try await drain(exchange) }
            try await Task.sleep(nanoseconds: UInt64(round) * 300_000)
            try exchange.cancel()
            _ = await wait.result
        }
        let last = try transport.start(request: homeserver.everything)
        let bytes = try await notHanging { try await drain(last) }
        XCTAssertGreaterThan(bytes, 1_000_000)
    }
}
