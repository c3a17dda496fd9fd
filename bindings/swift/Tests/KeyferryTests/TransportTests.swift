import XCTest

@testable import Keyferry

final class TransportTests: XCTestCase {
    private let transport = URLSessionTransport()

    func testABodyArrivesCompleteInSmallChunksFromOneRequest() async throws {
        let homeserver = try TestHomeserver(keys: 2_000, rooms: 3)
        let exchange = try transport.start(request: homeserver.everything)
        let (status, body) = try await notHanging { () -> (UInt16, Data) in
            let status = try await exchange.head().status
            var body = Data()
            while let chunk = try await exchange.nextChunk() {
                XCTAssertTrue((1...BodyBuffer.chunkLimit).contains(chunk.count))
                body.append(chunk)
            }
            return (status, body)
        }
        XCTAssertEqual(status, 200)
        XCTAssertEqual(try countOfSessions(in: body), 2_000)
        let requests = try await homeserver.requests(of: "all_keys")
        XCTAssertEqual(requests, 1)
    }

    func testASlowReaderHoldsTheConnection() async throws {
        let homeserver = try TestHomeserver(keys: 20_000, rooms: 3)
        let exchange = try transport.start(request: homeserver.everything)
        let body = try await notHanging { () -> Data in
            _ = try await exchange.head()
            var body = try await exchange.nextChunk() ?? Data()
            // Without the hold, the sender would be done by then.
            try await Task.sleep(nanoseconds: 1_000_000_000)
            while let chunk = try await exchange.nextChunk() {
                body.append(chunk)
                if body.count % 7 == 0 { try await Task.sleep(nanoseconds: 2_000_000) }
            }
            return body
        }
        XCTAssertEqual(try countOfSessions(in: body), 20_000)
        XCTAssertGreaterThanOrEqual(transport.mostBuffered.value, BodyBuffer.limit)
        XCTAssertLessThanOrEqual(transport.mostBuffered.value, 2 * BodyBuffer.limit)
        let requests = try await homeserver.requests(of: "all_keys")
        XCTAssertEqual(requests, 1, "a held connection must continue, not start again")
    }

    func testAnUnreadBodyDoesNotBlockOtherExchanges() async throws {
        let homeserver = try TestHomeserver(keys: 5_000, rooms: 3)
        let waiting = try transport.start(request: homeserver.everything)
        _ = try await notHanging { try await waiting.head() }
        let other = try transport.start(request: homeserver.everything)
        let bytes = try await notHanging { try await drain(other) }
        let bytesThatWaited = try await notHanging { try await drain(waiting) }
        XCTAssertEqual(bytesThatWaited, bytes)
        XCTAssertLessThanOrEqual(transport.mostBuffered.value, 2 * BodyBuffer.limit)
    }

    func testACancelledBodyDoesNotBlockOtherExchanges() async throws {
        let homeserver = try TestHomeserver(keys: 5_000, rooms: 3)
        let held = try transport.start(request: homeserver.everything)
        let first = try await notHanging { try await held.nextChunk() }
        XCTAssertNotNil(first)
        // Returns at once, although the other body is being held.
        let other = try transport.start(request: homeserver.request("/room_keys/version"))
        let reading = Task { try await drain(other) }
        try held.cancel()
        await assertThrows(TransportError.closed) { _ = try await held.nextChunk() }
        let bytes = try await notHanging { try await reading.value }
        XCTAssertGreaterThan(bytes, 0)
    }

    func testARequestWithABodyIsSent() async throws {
        let homeserver = try TestHomeserver(keys: 1, rooms: 1)
        let user = "/user/" + homeserver.details.userId.replacingOccurrences(of: "@", with: "%40")
        let path = user + "/account_data/m.key_backup"
        let read = homeserver.request(path)
        let write = TransportRequest(
            method: .put, url: read.url, headers: read.headers, body: Data(#"{"enabled":true}"#.utf8),
            idleTimeout: .seconds(30)
        )
        let written = try transport.start(request: write)
        let status = try await notHanging { try await written.head().status }
        XCTAssertEqual(status, 200)
        let stored = try transport.start(request: read)
        let body = try await notHanging { () -> Data? in
            _ = try await stored.head()
            return try await stored.nextChunk()
        }
        XCTAssertEqual(body.map { String(decoding: $0, as: UTF8.self) }, #"{"enabled":true}"#)
    }

    func testARedirectIsReturnedAndNotFollowed() async throws {
        let homeserver = try TestHomeserver(keys: 1, rooms: 1)
        let target = homeserver.details.homeserverUrl + "/_matrix/client/v3/joined_rooms"
        try await homeserver.setFaults(#"[{"kind":"redirect","location":"\#(target)","endpoint":"current_version"}]"#)
        let exchange = try transport.start(request: homeserver.request("/room_keys/version"))
        let head = try await notHanging { try await exchange.head() }
        XCTAssertEqual(head.status, 302)
        let location = head.headers.first { $0.name.lowercased() == "location" }
        XCTAssertEqual(location?.value, target)
        let end = try await notHanging { try await exchange.nextChunk() }
        XCTAssertNil(end)
        let followed = try await homeserver.requests(of: "joined_rooms")
        XCTAssertEqual(followed, 0)
    }

    func testManyExchangesInARowSucceed() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        for _ in 0..<20 {
            let exchange = try transport.start(request: homeserver.request("/room_keys/version"))
            let status = try await notHanging { () -> UInt16 in
                let status = try await exchange.head().status
                while try await exchange.nextChunk() != nil {}
                return status
            }
            XCTAssertEqual(status, 200)
        }
    }

    func testCloseIdleClosesIdleConnectionsAndLaterRequestsOpenNewOnes() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        try await answers(homeserver)
        for _ in 0..<200 where transport.idleSessions == 0 { try await Task.sleep(nanoseconds: 10_000_000) }
        XCTAssertEqual(transport.idleSessions, 1)
        try transport.closeIdle()
        XCTAssertEqual(transport.idleSessions, 0)

        let underWay = try transport.start(request: homeserver.request("/room_keys/version"))
        _ = try await notHanging { try await underWay.head() }
        try transport.closeIdle()
        _ = try await notHanging { () -> Int in
            var bytes = 0
            while let chunk = try await underWay.nextChunk() { bytes += chunk.count }
            return bytes
        }
        try await Task.sleep(nanoseconds: 200_000_000)
        XCTAssertEqual(transport.idleSessions, 0, "a request that was under way must not keep its connection either")
        try await answers(homeserver)
    }

    private func answers(_ homeserver: TestHomeserver) async throws {
        let exchange = try transport.start(request: homeserver.request("/room_keys/version"))
        let bytes = try await notHanging { try await drain(exchange) }
        XCTAssertGreaterThan(bytes, 0)
    }

    private func countOfSessions(in body: Data) throws -> Int {
        struct Room: Decodable { let sessions: [String: Entry] }
        struct Entry: Decodable {}
        struct Backup: Decodable { let rooms: [String: Room] }
        return try JSONDecoder().decode(Backup.self, from: body).rooms.values.reduce(0) { $0 + $1.sessions.count }
    }
}
