import XCTest

@testable import Keyferry

final class UploadTests: BackupTestCase {
    func testKeysThatWaitAreUploadedAndMarked() async throws {
        let (homeserver, crypto) = try await homeserverAndCrypto()
        let backup = try await open(homeserver, in: newDirectory(), crypto: crypto)
        let pending = try await backup.pendingUpload()
        XCTAssertEqual(pending, PendingUpload(keys: 2, isBackedUp: true))
        let before = try await backup.uploadStatus()
        XCTAssertEqual([before.known, before.uploaded, before.waiting, before.onServer], [2, 0, 2, 10])

        let report = try await notHanging { await backup.flushUploads() }

        XCTAssertEqual(report, UploadReport(outcome: .completed, uploaded: 2, wakeUp: nil))
        let marked = await crypto.marked
        XCTAssertEqual(marked, ["A", "B"])
        let after = try await backup.uploadStatus()
        XCTAssertEqual([after.known, after.uploaded, after.waiting, after.onServer], [2, 2, 0, 12])
        XCTAssertNil(after.hindrance)
        backup.close()
    }

    func testABackupOfAnotherClientIsNotUploadedTo() async throws {
        let (homeserver, crypto) = try await homeserverAndCrypto()
        await crypto.use(BackupTarget(version: "1", publicKey: "another"), [page("A")])
        let backup = try await open(homeserver, in: newDirectory(), crypto: crypto)
        let report = try await notHanging { await backup.flushUploads() }
        XCTAssertEqual(report.outcome, .hindered(by: .otherBackup))
        let status = try await backup.uploadStatus()
        XCTAssertEqual(status.hindrance, .otherBackup)
        backup.close()
    }

    func testCancellingTheTaskEndsAnUploadAndTheNextOneCompletes() async throws {
        let (homeserver, crypto) = try await homeserverAndCrypto()
        let backup = try await open(homeserver, in: newDirectory(), crypto: crypto)
        try await homeserver.setFaults(#"[{"kind":"silence","endpoint":"put_keys"}]"#)

        let task = Task { await backup.flushUploads() }
        try await notHanging { while try await homeserver.requests(of: "put_keys") == 0 { await Task.yield() } }
        task.cancel()
        let report = try await notHanging { await task.value }

        XCTAssertEqual(report.outcome, .paused(causes: [.timeExpiring]))
        try await homeserver.setFaults("[]")
        let next = try await notHanging { await backup.flushUploads() }
        XCTAssertEqual(next.outcome, .completed)
        backup.close()
    }

    func testAClosedStoreBlocksAnUploadAndAsksForAWakeUp() async throws {
        let (homeserver, crypto) = try await homeserverAndCrypto()
        let wakeUps = WakeUps()
        let backup = try await open(homeserver, in: newDirectory(), crypto: crypto, wakeUps: wakeUps)
        await crypto.fail("nextPage", with: CryptoError.unavailable(detail: "the store is closed"))
        let report = try await notHanging { await backup.flushUploads() }
        XCTAssertEqual(report.outcome, .blocked(reason: .cryptoUnavailable, retryAfter: nil))
        let wakeUp = await wakeUps.latest(.upload)
        XCTAssertNotNil(wakeUp)
        await crypto.fail("countRoomKeys", with: CryptoError.refused(reason: "signed out"))
        await assertThrows(AccessError.cryptoRefuses(reason: "signed out")) { _ = try await backup.pendingUpload() }
        backup.close()
    }

    func testWithoutASourceThereIsNothingToAsk() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        await assertThrows(AccessError.notConfigured) { _ = try await backup.pendingUpload() }
        await assertThrows(AccessError.notConfigured) { _ = try await backup.uploadStatus() }
        backup.close()
    }

    /// Returns a homeserver, and a crypto that has two keys for its backup.
    private func homeserverAndCrypto() async throws -> (TestHomeserver, TestCrypto) {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let crypto = TestCrypto(homeserver)
        let current = try await homeserver.currentVersion()
        await crypto.use(try XCTUnwrap(current?.target), [page("A"), page("B")])
        return (homeserver, crypto)
    }

    /// Returns a page with one key.
    private func page(_ id: String) -> SourcePage {
        let entry = #"{"first_message_index":0,"forwarded_count":0,"is_verified":true,"session_data":{}}"#
        return SourcePage(id: id, roomsJson: #"{"!room:localhost":{"sessions":{"\#(id)":\#(entry)}}}"#)
    }
}
