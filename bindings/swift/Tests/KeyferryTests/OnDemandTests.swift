import XCTest

@testable import Keyferry

final class OnDemandTests: BackupTestCase {
    func testAKeyCanBeFetchedBeforeAnyDownload() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let keys = try await keysOfAnotherDevice(homeserver)
        let wanted = try XCTUnwrap(keys.first)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        for _ in 0..<2 {
            let found = try await notHanging { try await backup.fetchSession(wanted.sessionId, in: wanted.roomId) }
            XCTAssertEqual(found, .found(key: wanted, otherRooms: []))
        }
        let asked = try await homeserver.requests(of: "session_key")
        XCTAssertEqual(asked, 1)
        let elsewhere = "!elsewhere:localhost"
        let missing = try await notHanging { try await backup.fetchSession(wanted.sessionId, in: elsewhere) }
        XCTAssertEqual(missing, .notFound)
        let begins = wanted.firstKnownIndex
        let better = try await notHanging {
            try await backup.fetchSession(wanted.sessionId, in: wanted.roomId, betterThan: begins + 1)
        }
        XCTAssertEqual(better, .found(key: wanted, otherRooms: []))
        let none = try await notHanging {
            try await backup.fetchSession(wanted.sessionId, in: wanted.roomId, betterThan: begins)
        }
        XCTAssertEqual(none, .notFound)
        backup.close()
    }

    func testARoomIsFetchedCompletelyAndOnce() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let keys = try await keysOfAnotherDevice(homeserver)
        let wanted = try XCTUnwrap(keys.first)
        let room = wanted.roomId
        let count = keys.filter { $0.roomId == room }.count
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        let first = try await notHanging { try await backup.fetchRoom(room) }
        let second = try await notHanging { try await backup.fetchRoom(room) }

        XCTAssertEqual(first, RoomFetch(newKeys: UInt64(count), askedServer: true))
        XCTAssertEqual(second, RoomFetch(newKeys: 0, askedServer: false))
        let found = try await backup.roomKey(session: wanted.sessionId, in: room)
        XCTAssertEqual(found, .found(key: wanted, otherRooms: []))
        let proof = try await backup.prove(session: wanted.sessionId, in: room, by: "{}")
        XCTAssertEqual(proof, .notProved)
        backup.close()
    }

    func testARefreshReportsWhetherThereAreNewKeys() async throws {
        let homeserver = try TestHomeserver(keys: 200, rooms: 2)
        let wakeUps = WakeUps()
        let backup = try await open(homeserver, in: newDirectory(), wakeUps: wakeUps)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let before = try await notHanging { try await backup.refresh() }
        XCTAssertEqual(before, .newKeys(count: 200))
        let wanted = await wakeUps.latest(.download)
        XCTAssertNotNil(wanted)

        try await backup.prioritiseRooms(["!first:localhost"])
        let report = try await notHanging { await backup.run() }
        assertCompleted(report.outcome)
        let after = try await notHanging { try await backup.refresh() }

        XCTAssertEqual(after, .nothingNew)
        backup.close()
    }

    func testARequestEndsWithItsTask() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 1)
        let keys = try await keysOfAnotherDevice(homeserver)
        let wanted = try XCTUnwrap(keys.first)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try await backup.fetchSession(wanted.sessionId, in: wanted.roomId) },
            { _ = try await backup.fetchRoom(wanted.roomId) },
            { _ = try await backup.refresh() },
            { _ = try await backup.preference.refresh() },
        ]
        for (place, call) in calls.enumerated() {
            let task = Task { try await call() }
            try await Task.sleep(for: .milliseconds(100))
            task.cancel()
            let end = try await notHanging { await task.result }
            XCTAssertThrowsError(try end.get()) { XCTAssertTrue($0 is CancellationError, "\(place): \($0)") }
            try await notHanging { await backup.awaitQuiescent() }
        }
        try await homeserver.setFaults("[]")
        let found = try await notHanging { try await backup.fetchSession(wanted.sessionId, in: wanted.roomId) }
        XCTAssertEqual(found, .found(key: wanted, otherRooms: []))
        backup.close()
    }

    func testAFailedRequestReportsItsCause() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 1)
        let keys = try await keysOfAnotherDevice(homeserver)
        let wanted = try XCTUnwrap(keys.first)
        let backup = try await open(homeserver, in: newDirectory())

        await assertThrows(AccessError.locked) {
            _ = try await backup.fetchSession(wanted.sessionId, in: wanted.roomId)
        }
        try await backup.pause(.offline)
        await assertThrows(AccessError.onHold(causes: [.offline])) { try await backup.refresh() }
        try await backup.resume(.offline)
        homeserver.stop()
        await assertThrows(AccessError.unreachable(retryAfter: nil)) { try await backup.refresh() }
        backup.close()
        await assertThrows(AccessError.shutDown) { try await backup.refresh() }
    }

    private func keysOfAnotherDevice(_ homeserver: TestHomeserver) async throws -> [RoomKey] {
        let recorder = Recorder()
        let other = try await open(homeserver, in: newDirectory(), sink: recorder.sink)
        try await other.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        _ = try await notHanging { await other.run() }
        other.close()
        return await recorder.keys
    }
}
