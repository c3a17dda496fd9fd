import XCTest

@testable import Keyferry

final class ResetTests: BackupTestCase {
    func testABackupMovesToANewKeyAndANewDeviceRestoresEveryKey() async throws {
        let homeserver = try TestHomeserver(keys: 2_000, rooms: 7)
        let crypto = TestCrypto(homeserver)
        let wakeUps = WakeUps()
        let backup = try await openComplete(homeserver, crypto, wakeUps)
        let updates = backup.resetProgressUpdates
        let listener = Task { await updates.reduce(into: [ResetProgress]()) { $0.append($1) } }

        let readiness = try await backup.prepareReset(for: .keyCompromised)
        XCTAssertEqual(readiness.way, .move)
        XCTAssertEqual(readiness.losses, [])
        XCTAssertEqual(readiness.keys, 2_000)
        try await backup.moveBackup(for: .keyCompromised)
        let isWaiting = await wakeUps.latest(.reset) != nil
        XCTAssertTrue(isWaiting)
        let report = try await notHanging { await backup.runReset() }

        XCTAssertEqual(report.outcome, .completed)
        XCTAssertEqual(report.status?.step, .done)
        XCTAssertEqual(report.status?.sent, 2_000)
        XCTAssertEqual(report.status?.newVersion, "2")
        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.version, "2")
        XCTAssertEqual(backup.state.activity, .done(everyKeyIsHere: true))
        let isStillWaiting = await wakeUps.latest(.reset) != nil
        XCTAssertFalse(isStillWaiting)

        let newBackup = await crypto.newBackup
        XCTAssertEqual(newBackup?.target, current?.target)
        let recorder = Recorder()
        let other = try await open(homeserver, in: newDirectory(), sink: recorder.sink)
        try await other.unlock(with: .decryptionKey(base64: XCTUnwrap(newBackup?.decryptionKey)))
        let restored = try await notHanging { await other.run() }
        let names = await recorder.names
        XCTAssertTrue(restored.everyKeyIsHere)
        XCTAssertEqual(names.count, 2_000)
        other.close()

        await assertThrows(ResetError.currentVersion) { try await backup.deleteVersion("2") }
        try await backup.deleteVersion("1")
        let old = try await homeserver.version("1")
        XCTAssertNil(old)
        backup.close()
        let seen = try await notHanging { await listener.value }
        XCTAssertGreaterThan(seen.count, 1)
        XCTAssertEqual(seen.first, ResetProgress(step: .begun, sent: 0, total: 2_000))
        XCTAssertEqual(seen.last, ResetProgress(step: .done, sent: 2_000, total: 2_000))
    }

    func testACancelledTaskLeavesAMoveThatGoesOn() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 3)
        let backup = try await openComplete(homeserver, TestCrypto(homeserver))
        try await backup.moveBackup(for: .backupDamaged)
        try await homeserver.setFaults(#"[{"kind":"silence","endpoint":"put_keys"}]"#)
        let updates = backup.resetProgressUpdates

        let task = Task { await backup.runReset() }
        try await notHanging { for await progress in updates where progress.step == .uploading { break } }
        task.cancel()
        let report = try await notHanging { await task.value }

        XCTAssertEqual(report.outcome, .paused(causes: [.timeExpiring]))
        XCTAssertEqual(report.status?.step, .uploading)
        await assertThrows(ResetError.notUnderWay) { try await backup.cancelReset() }
        await assertThrows(ResetError.notProved) { try await backup.deleteVersion("1") }
        try await homeserver.setFaults("[]")
        let next = try await notHanging { await backup.runReset() }
        XCTAssertEqual(next.outcome, .completed)
        backup.close()
    }

    func testAPauseHoldsAResetAsItHoldsTheDownload() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await openComplete(homeserver, TestCrypto(homeserver))
        try await backup.moveBackup(for: .backupDamaged)
        try await backup.pause()
        let held = try await notHanging { await backup.runReset() }
        XCTAssertEqual(held.outcome, .paused(causes: [.user]))
        try await backup.resume()
        let report = try await notHanging { await backup.runReset() }
        XCTAssertEqual(report.outcome, .completed)
        backup.close()
    }

    func testACallbackThatThrowsEndsTheRunAndTheNextOneGoesOn() async throws {
        struct StoreIsLocked: Error {}
        let blocked = ResetOutcome.blocked(reason: .cryptoUnavailable, retryAfter: nil)
        let table: [(any Error, ResetOutcome)] = [
            (CryptoError.unavailable(detail: "the store is closed"), blocked),
            (CryptoError.refused(reason: "not verified"), .cryptoRefuses(reason: "not verified")),
            (StoreIsLocked(), blocked),
        ]
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let crypto = TestCrypto(homeserver)
        let backup = try await openComplete(homeserver, crypto)
        try await backup.moveBackup(for: .recoveryKeyLost)
        for call in ["prepareStorage", "writeSecret", "signAuthData", "useBackup"] {
            for (error, outcome) in table {
                await crypto.fail(call, with: error)
                let report = try await notHanging { await backup.runReset() }
                XCTAssertEqual(report.outcome, outcome, call)
            }
        }
        await crypto.fail(nil)
        let report = try await notHanging { await backup.runReset() }
        XCTAssertEqual(report.outcome, .completed)
        backup.close()
    }

    func testAMoveThatHasChangedNothingCanBeCancelled() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await openComplete(homeserver, TestCrypto(homeserver))
        try await backup.moveBackup(for: .keyCompromised)
        let status = try await backup.resetStatus()
        XCTAssertEqual(status?.step, .begun)
        XCTAssertEqual(status?.canBeCancelled, true)
        await assertThrows(ResetError.underWay) { try await backup.moveBackup(for: .keyCompromised) }

        try await backup.cancelReset()

        let left = try await backup.resetStatus()
        XCTAssertNil(left)
        let report = try await notHanging { await backup.runReset() }
        XCTAssertEqual(report.outcome, .nothingToDo)
        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.version, "1")
        backup.close()
    }

    func testAMoveThatWouldLoseKeysNamesThem() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory(), crypto: TestCrypto(homeserver))
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let losses = [KeyLoss(kind: .notFetched, keys: 10)]
        await assertThrows(ResetError.losesKeys(losses: losses)) { try await backup.moveBackup(for: .backupDamaged) }
        try await backup.moveBackup(for: .backupDamaged, accepting: losses)
        backup.close()
    }

    func testANewBackupTakesThePlaceOfOneThatWasTurnedOff() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await openComplete(homeserver, TestCrypto(homeserver))
        await assertThrows(ResetError.backupExists) { try await backup.createBackup() }
        try await backup.turnOff()
        let nothing = try await homeserver.currentVersion()
        XCTAssertNil(nothing)
        let preference = try await backup.preference.lastSeen()
        XCTAssertEqual(preference?.value, .disabled)

        try await backup.createBackup()
        let report = try await notHanging { await backup.runReset() }

        XCTAssertEqual(report.outcome, .completed)
        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.count, 100)
        backup.close()
    }

    func testStorageIsRenewedAroundTheSameBackup() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await openComplete(homeserver, TestCrypto(homeserver))
        try await backup.rotateStorage()
        let secret = try await homeserver.accountData("m.megolm_backup.v1")
        XCTAssertEqual(secret?.contains("RENEWED"), true)
        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.version, "1")
        backup.close()
    }

    func testWithoutTheAppsCryptoThereIsNoReset() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        await assertThrows(ResetError.access(error: .notConfigured)) { try await backup.moveBackup(for: .keyCompromised) }
        let report = try await notHanging { await backup.runReset() }
        XCTAssertEqual(report.outcome, .nothingToDo)
        backup.close()
        await assertThrows(AccessError.shutDown) { _ = try await backup.resetStatus() }
    }

    /// Opens a backup and downloads everything.
    private func openComplete(
        _ homeserver: TestHomeserver,
        _ crypto: TestCrypto,
        _ wakeUps: WakeUps = WakeUps()
    ) async throws -> KeyBackup {
        let backup = try await open(homeserver, in: newDirectory(), crypto: crypto, wakeUps: wakeUps)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let report = try await notHanging { await backup.run() }
        XCTAssertTrue(report.everyKeyIsHere)
        return backup
    }
}
