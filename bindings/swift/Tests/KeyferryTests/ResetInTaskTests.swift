import XCTest

@testable import Keyferry

/// Tests resets and uploads in time that the OS grants.
final class ResetInTaskTests: BackupTestCase {
    func testATaskCarriesAResetOnAndUploadsWhatWaits() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let (crypto, wakeUps) = (TestCrypto(homeserver), WakeUps())
        let backup = try await openWithMove(homeserver, crypto, wakeUps)
        try await backup.pause(.inBackground)
        let held = try await notHanging { await backup.runReset() }
        XCTAssertEqual(held.outcome, .paused(causes: [.inBackground]))
        let task = FakeTask()

        let work = KeyBackup.work(in: task) { [backup] }
        let report = try await notHanging { await work.value.first }

        assertCompleted(report?.outcome)
        XCTAssertEqual(task.told, [true])
        let status = try await backup.resetStatus()
        XCTAssertEqual(status?.step, .done)
        let isWaiting = await wakeUps.latest(.reset) != nil
        XCTAssertFalse(isWaiting)
        let causes = try await backup.status().causes
        XCTAssertEqual(causes, [.inBackground])

        let target = try await homeserver.currentVersion()?.target
        await crypto.use(try XCTUnwrap(target), [SourcePage(id: "page", roomsJson: "{}")])
        let second = KeyBackup.work(in: FakeTask(), budget: .seconds(25)) { [backup] }
        _ = try await notHanging { await second.value }
        let marked = await crypto.marked
        XCTAssertEqual(marked, ["page"])
        backup.close()
    }

    func testAResetThatNeedsMoreTimeThanATaskHasIsNotASuccess() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let wakeUps = WakeUps()
        let backup = try await openWithMove(homeserver, TestCrypto(homeserver), wakeUps)
        let task = FakeTask()

        let work = KeyBackup.work(in: task, budget: .seconds(25)) { [backup] }
        _ = try await notHanging { await work.value }

        XCTAssertEqual(task.told, [false])
        let status = try await backup.resetStatus()
        XCTAssertEqual(status?.step, .secretsKept)
        let isWaiting = await wakeUps.latest(.reset) != nil
        XCTAssertTrue(isWaiting)
        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.version, "1")
        backup.close()
    }

    func testAnExpiredTaskPausesAReset() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let backup = try await openWithMove(homeserver, TestCrypto(homeserver))
        try await homeserver.setFaults(#"[{"kind":"silence","endpoint":"put_keys"}]"#)
        let updates = backup.resetProgressUpdates
        let task = FakeTask()

        let work = KeyBackup.work(in: task) { [backup] }
        try await notHanging { for await progress in updates where progress.step == .uploading { break } }
        task.expire()
        _ = try await notHanging { await work.value }

        XCTAssertEqual(task.told, [false])
        try await notHanging { await backup.awaitQuiescent() }
        let status = try await backup.resetStatus()
        XCTAssertEqual(status?.step, .uploading)
        backup.close()
    }

    func testATaskWaitsForTheResetOfAnotherCaller() async throws {
        let homeserver = try TestHomeserver(keys: 2_000, rooms: 3, "--bytes-per-second", "4000000")
        let backup = try await openWithMove(homeserver, TestCrypto(homeserver))
        let updates = backup.resetProgressUpdates
        let run = Task { await backup.runReset() }
        try await notHanging { for await progress in updates where progress.step == .uploading { break } }

        let task = FakeTask()
        let work = KeyBackup.work(in: task) { [backup] }
        let report = try await notHanging { await run.value }
        _ = try await notHanging { await work.value }

        XCTAssertEqual(report.outcome, .completed)
        XCTAssertEqual(task.told, [true])
        backup.close()
    }

    /// Opens a backup, downloads everything, and begins a move.
    private func openWithMove(
        _ homeserver: TestHomeserver,
        _ crypto: TestCrypto,
        _ wakeUps: WakeUps = WakeUps()
    ) async throws -> KeyBackup {
        let backup = try await open(homeserver, in: newDirectory(), crypto: crypto, wakeUps: wakeUps)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        _ = try await notHanging { await backup.run() }
        try await backup.moveBackup(for: .keyCompromised)
        return backup
    }
}
