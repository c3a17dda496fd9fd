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

        backup.failNext(StatusError.busy)
        do {
            _ = try await backup.status()
            XCTFail("the failure is not thrown")
        } catch {
            XCTAssertEqual(error as? StatusError, .busy)
        }
        let status = try await backup.status()
        XCTAssertTrue(status.fetchComplete)
        XCTAssertEqual(backup.calls.suffix(2), ["status", "status"])
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
