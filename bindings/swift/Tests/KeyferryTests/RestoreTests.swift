import XCTest

@testable import Keyferry

final class RestoreTests: BackupTestCase {
    func testEveryKeyReachesTheSinkOnceAndCanBeFound() async throws {
        let homeserver = try TestHomeserver(keys: 2_000, rooms: 20)
        let recorder = Recorder()
        let backup = try await open(homeserver, in: newDirectory(), sink: recorder.sink)
        let unlocked = try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        XCTAssertEqual(unlocked.total, 2_000)

        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        XCTAssertEqual(report.summary.delivered, 2_000)
        let keys = await recorder.keys
        let names = await recorder.names
        XCTAssertEqual(keys.count, 2_000)
        XCTAssertEqual(names.count, 2_000, "a key was delivered twice")
        XCTAssertTrue(keys.contains { $0.sharedHistory } && keys.contains { !$0.sharedHistory })

        let wanted = try XCTUnwrap(keys.first)
        let found = try await backup.roomKey(session: wanted.sessionId, in: wanted.roomId)
        XCTAssertEqual(found, .found(key: wanted, otherRooms: []))
        let missing = try await backup.roomKey(session: wanted.sessionId, in: "!elsewhere:localhost")
        XCTAssertEqual(missing, .notFound)
        let counts = try await backup.roomHistoryShareability(of: wanted.roomId)
        let shareable = keys.filter { $0.roomId == wanted.roomId && $0.sharedHistory }.count
        XCTAssertEqual(counts.shareable, UInt64(shareable))
        backup.close()
    }

    func testLongRoomsThatAreRequestedTogetherAllArrive() async throws {
        let homeserver = try TestHomeserver(keys: 8_000, rooms: 6)
        // After two cuts of the whole backup, keys are requested room by room.
        try await homeserver.setFaults(#"[{"kind":"cut_body","after_bytes":9000,"endpoint":"all_keys","times":2}]"#)
        let transport = URLSessionTransport()
        let recorder = Recorder()
        let backup = try await open(homeserver, in: newDirectory(), transport: transport, sink: recorder.sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        let names = await recorder.names
        XCTAssertEqual(names.count, 8_000)
        XCTAssertLessThanOrEqual(transport.mostBuffered.value, 2 * BodyBuffer.limit)
        let byRoom = try await homeserver.requests(of: "room_keys")
        XCTAssertGreaterThan(byRoom, 3, "keys must be requested room by room")
        backup.close()
    }

    func testTheKeysOfARoomAreListedAcrossAllPages() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        let recorder = Recorder()
        let backup = try await open(homeserver, in: newDirectory(), sink: recorder.sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        _ = try await notHanging { await backup.run() }
        let delivered = await recorder.keys
        let room = try XCTUnwrap(delivered.first?.roomId)

        var listed: [String] = []
        for try await key in backup.roomKeys(in: room) { listed.append(key.sessionId) }

        XCTAssertGreaterThan(listed.count, 100, "the room must have more than one page of keys")
        XCTAssertEqual(listed.sorted(), delivered.filter { $0.roomId == room }.map(\.sessionId).sorted())
        backup.close()
    }

    func testASecondOpeningNeedsNoUnlockAndDeliversNothingAgain() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let directory = try newDirectory()
        let first = try await open(homeserver, in: directory, sink: Recorder().sink)
        try await first.unlock(with: .decryptionKey(base64: homeserver.details.backupDecryptionKeyBase64))
        _ = try await notHanging { await first.run() }
        first.close()

        let recorder = Recorder()
        let second = try await open(homeserver, in: directory, sink: recorder.sink)
        let status = try await second.status()
        XCTAssertTrue(status.unlocked && status.fetchComplete)
        let report = try await notHanging { await second.run() }

        assertCompleted(report.outcome)
        XCTAssertEqual(report.summary.delivered, 300)
        let again = await recorder.keys.count
        XCTAssertEqual(again, 0)
        second.close()
    }

    func testASinkThatThrowsBlocksTheRunAndALaterOneCompletes() async throws {
        struct StoreIsLocked: Error {}
        let homeserver = try TestHomeserver(keys: 500, rooms: 5)
        let directory = try newDirectory()
        let failing = try await open(homeserver, in: directory, sink: ClosureSink { _ in throw StoreIsLocked() })
        try await failing.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        let report = try await notHanging { await failing.run() }

        guard case .blocked(.sinkUnavailable, _) = report.outcome else {
            return XCTFail("outcome: \(report.outcome)")
        }
        XCTAssertEqual(report.summary.delivered, 0)
        failing.close()

        let recorder = Recorder()
        let working = try await open(homeserver, in: directory, sink: recorder.sink)
        let later = try await notHanging { await working.run() }
        assertCompleted(later.outcome)
        let names = await recorder.names
        XCTAssertEqual(names.count, 500)
        working.close()
    }

    func testASinkSaysHowManyKeysABatchMayHave() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 5)
        let largest = HighWaterMark()
        let sink = ClosureSink(limits: SinkLimits(batchKeys: 60)) { keys in
            largest.note(keys.count)
            return keys.map { _ in .imported }
        }
        let backup = try await open(homeserver, in: newDirectory(), sink: sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        let report = try await notHanging { await backup.run() }

        XCTAssertEqual(report.summary.delivered, 500)
        XCTAssertEqual(largest.value, 60)
        backup.close()
    }

    func testTheTransportBufferStaysSmallWithASlowSink() async throws {
        let homeserver = try TestHomeserver(keys: 20_000, rooms: 4)
        let recorder = Recorder()
        let transport = URLSessionTransport()
        let sink = ClosureSink { keys in
            try await Task.sleep(nanoseconds: 50_000_000)
            return await recorder.take(keys)
        }
        let backup = try await open(homeserver, in: newDirectory(), transport: transport, sink: sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        let names = await recorder.names
        XCTAssertEqual(names.count, 20_000)
        XCTAssertGreaterThan(transport.mostBuffered.value, 0)
        XCTAssertLessThanOrEqual(transport.mostBuffered.value, 2 * BodyBuffer.limit)
        backup.close()
    }

    func testAnExportBeginsWithTheMegolmHeaderAndNeedsAPassphrase() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let directory = try newDirectory()
        let backup = try await open(homeserver, in: directory)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        _ = try await notHanging { await backup.run() }
        let file = try newDirectory().appendingPathComponent("keys.txt")

        let summary = try await notHanging { try await backup.exportRoomKeys(to: file, passphrase: "a passphrase") }

        XCTAssertEqual(summary.exported, 100)
        let text = try String(contentsOf: file, encoding: .utf8)
        XCTAssertTrue(text.hasPrefix("-----BEGIN MEGOLM SESSION DATA-----\n"))
        await assertThrows(ExportError.emptyPassphrase) {
            try await backup.exportRoomKeys(to: file, passphrase: "")
        }
        backup.close()
    }
}
