import XCTest

@testable import Keyferry

final class BackgroundTaskTests: BackupTestCase {
    func testARunThatCompletesIsASuccess() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let recorder = Recorder()
        let backup = try await open(homeserver, in: newDirectory(), sink: recorder.sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let task = FakeTask()

        let run = KeyBackup.work(in: task) { [backup] }
        let report = try await notHanging { await run.value.first }

        assertCompleted(report?.outcome)
        XCTAssertEqual(task.told, [true])
        task.expire()
        XCTAssertEqual(task.told, [true])
        let count = await recorder.keys.count
        XCTAssertEqual(count, 300)
        backup.close()
    }

    func testAnExpiredRunIsPausedAndReportedToTheOsOnce() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.stallKeys()
        let backup = try await open(homeserver, in: newDirectory())
        let progress = backup.progressUpdates
        let task = FakeTask()

        let run = KeyBackup.work(in: task) { [backup] }
        try await waitUntilFetching(progress)
        XCTAssertEqual(task.told, [])
        task.expire()
        let report = try await notHanging { await run.value.first }

        XCTAssertEqual(report?.outcome, .paused(causes: [.timeExpiring]))
        XCTAssertEqual(task.told, [false])
        let status = try await backup.status()
        XCTAssertEqual(status.stage, .resting)
        XCTAssertNil(status.running)
        try await notHanging { await backup.awaitQuiescent() }
        task.expire()
        XCTAssertEqual(task.told, [false])
        backup.close()
    }

    func testARunThatIsOutOfBudgetIsNotASuccess() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        let backup = try await open(homeserver, in: newDirectory())
        let task = FakeTask()

        let run = KeyBackup.work(in: task, budget: .seconds(1)) { [backup] }
        let report = try await notHanging { await run.value.first }

        XCTAssertEqual(report?.outcome, .outOfBudget)
        XCTAssertEqual(task.told, [false])
        backup.close()
    }

    func testExpiredWorkThatHangsIsReportedToTheOs() async throws {
        let (gate, key) = AsyncStream.makeStream(of: Void.self)
        let task = FakeTask()
        let work = BackgroundWork.begin(in: task, patience: 0.1) { () async -> (Int, Bool) in
            // Ignores its own cancellation.
            await Task.detached { for await _ in gate { break } }.value
            return (1, true)
        }

        task.expire()
        for _ in 0..<500 where task.told.isEmpty { try await Task.sleep(nanoseconds: 10_000_000) }
        XCTAssertEqual(task.told, [false])
        key.yield()
        let value = try await notHanging { await work.value }

        XCTAssertEqual(value, 1)
        XCTAssertEqual(task.told, [false])
    }

    func testABackupThatDoesNotOpenIsNotASuccess() async throws {
        struct IsLocked: Error {}
        let task = FakeTask()
        let work = KeyBackup.work(in: task) { throw IsLocked() }

        let reports = try await notHanging { await work.value }

        XCTAssertTrue(reports.isEmpty)
        XCTAssertEqual(task.told, [false])
    }

    func testARunInATaskCompletesInTheBackground() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await backup.pause(.inBackground)
        let held = try await notHanging { await backup.run() }
        XCTAssertEqual(held.outcome, .paused(causes: [.inBackground]))

        let run = KeyBackup.work(in: FakeTask()) { [backup] }
        let report = try await notHanging { await run.value.first }

        assertCompleted(report?.outcome)
        backup.close()
    }

    func testAPendingPreferenceIsFlushedInATask() async throws {
        let homeserver = try TestHomeserver(keys: 1, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        try await homeserver.setFaults(#"[{"kind":"status","code":503,"endpoint":"put_account_data"}]"#)
        _ = try await backup.preference.setEnabled(true)
        let (early, later) = (FakeTask(), FakeTask())

        let first = KeyBackup.work(in: early, budget: .seconds(2)) { [backup] }
        _ = try await notHanging { await first.value }
        let pending = try await backup.preference.pending()
        XCTAssertNotNil(pending)
        XCTAssertEqual(early.told, [false])
        try await homeserver.setFaults("[]")
        let second = KeyBackup.work(in: later) { [backup] }
        _ = try await notHanging { await second.value }

        let left = try await backup.preference.pending()
        XCTAssertNil(left)
        let value = try await homeserver.accountData("m.key_backup")
        XCTAssertEqual(value?.contains("true"), true)
        XCTAssertEqual(later.told, [true])
        backup.close()
    }
}
