import Keyferry
import KeyferryTesting
import XCTest

/// Uses the fake as an app does in its own tests.
final class FakeTests: XCTestCase {
    func testARunFollowsItsScript() async throws {
        let backup: any KeyBackupProtocol = FakeKeyBackup(.of(keys: 1_000, stepTime: .zero), recoveryKey: "EsTc")
        let states = backup.stateUpdates
        let seen = Task { await states.reduce(into: [KeyBackupState]()) { $0.append($1) } }

        do {
            try await backup.unlock(with: .recoveryKey(text: "EsTd"))
            XCTFail("a wrong key is taken")
        } catch {
            XCTAssertEqual(error as? UnlockError, .wrongKey)
        }
        try await backup.unlock(with: .recoveryKey(text: "EsTc"))
        let report = await backup.run()
        backup.close()

        XCTAssertTrue(report.everyKeyIsHere)
        XCTAssertEqual(report.summary.delivered, 1_000)
        XCTAssertEqual(backup.state.activity, .done(everyKeyIsHere: true))
        let last = await seen.value.last
        XCTAssertEqual(last?.progress.delivered, 1_000)
    }

    func testAPauseHoldsARunAndAFailureIsThrownOnce() async throws {
        let backup = FakeKeyBackup(.of(keys: 10, stepTime: .zero))
        try await backup.pause(.offline)
        let held = await backup.run()
        XCTAssertEqual(held.outcome, .paused(causes: [.offline]))
        try await backup.resume(.offline)
        let report = await backup.run()
        XCTAssertEqual(report.outcome, FakeRun.completed)

        backup.failNext(AccessError.vaultInaccessible)
        do {
            _ = try await backup.status()
            XCTFail("the failure is not thrown")
        } catch {
            XCTAssertEqual(error as? AccessError, .vaultInaccessible)
        }
        let status = try await backup.status()
        XCTAssertTrue(status.fetchComplete)
        XCTAssertEqual(backup.calls.suffix(2), ["status", "status"])
    }

    func testAResetThatIsHaltedShowsWhyUntilItBeginsAgain() async throws {
        let backup = FakeKeyBackup()
        try await backup.moveBackup(for: .backupDamaged)
        backup.reset.outcome = .halted(why: .overtaken)
        let report = await backup.runReset()
        XCTAssertEqual(report.status?.stopped, .overtaken)
        var updates = backup.resetProgressUpdates.makeAsyncIterator()
        let stopped = await updates.next()
        XCTAssertEqual(stopped?.stopped, .overtaken)
        try await backup.moveBackup(for: .backupDamaged)
        let again = await updates.next()
        XCTAssertEqual(again, ResetProgress(step: .begun, sent: 0, total: 0))
        backup.close()
    }

    func testAResetGoesFromItsBeginningToItsEnd() async throws {
        let backup = FakeKeyBackup()
        let losses = [KeyLoss(kind: .notFetched, keys: 3)]
        backup.reset.readiness = .fake(losses: losses, keys: 10)
        backup.reset.progress = [ResetProgress(step: .uploading, sent: 5, total: 10)]
        let updates = backup.resetProgressUpdates
        let seen = Task { await updates.reduce(into: [ResetStep]()) { $0.append($1.step) } }

        let readiness = try await backup.prepareReset(for: .keyCompromised)
        XCTAssertEqual(readiness.losses, losses)
        do {
            try await backup.moveBackup(for: .keyCompromised)
            XCTFail("the losses are not accepted")
        } catch {
            XCTAssertEqual(error as? ResetError, .losesKeys(losses: losses))
        }
        try await backup.moveBackup(for: .keyCompromised, accepting: losses)
        try await backup.pause()
        let held = await backup.runReset()
        XCTAssertEqual(held.outcome, .paused(causes: [.user]))
        try await backup.resume()
        let report = await backup.runReset()
        XCTAssertEqual(report.outcome, .completed)
        XCTAssertEqual(report.status?.oldVersion, "1")
        try await backup.deleteVersion("1", accepting: losses)
        let last = await backup.runReset()
        XCTAssertEqual(last.outcome, .nothingToDo)
        backup.close()
        let steps = await seen.value
        XCTAssertEqual(steps.last, .done)
    }

    func testKeysWaitUntilTheyAreUploaded() async throws {
        let backup = FakeKeyBackup()
        (backup.uploads.known, backup.uploads.waiting) = (10, 4)
        backup.uploads.hindrance = .otherBackup
        let hindered = await backup.flushUploads()
        XCTAssertEqual(hindered.outcome, .hindered(by: .otherBackup))
        backup.uploads.hindrance = nil
        let report = await backup.flushUploads()
        XCTAssertEqual(report.uploaded, 4)
        let status = try await backup.uploadStatus()
        XCTAssertEqual([status.known, status.uploaded, status.waiting], [10, 10, 0])
        let pending = try await backup.pendingUpload()
        XCTAssertEqual(pending.keys, 0)
    }

    func testThePreferenceKeepsAChoiceUntilItIsWritten() async throws {
        let backup = FakeKeyBackup()
        backup.preference.write = .pending(reason: .unreachable, retryAfter: nil)
        _ = try await backup.preference.setEnabled(true)
        let pending = try await backup.preference.pending()
        XCTAssertEqual(pending?.enabled, true)
        backup.preference.write = .written
        try await backup.preference.flush()
        XCTAssertEqual(backup.preference.value, .enabled)
    }
}
