import XCTest

@testable import Keyferry

final class BackgroundTaskTests: BackupTestCase {
    func testARunThatCompletesIsASuccess() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let recorder = Recorder()
        let backup = try await open(homeserver, in: newDirectory(), sink: recorder.sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let task = FakeTask()

        let run = backup.run(in: task)
        let report = try await notHanging { await run.value }

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
        let progress = backup.progress
        let task = FakeTask()

        let run = backup.run(in: task)
        try await waitUntilFetching(progress)
        XCTAssertEqual(task.told, [])
        task.expire()
        let report = try await notHanging { await run.value }

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

        let run = backup.run(in: task, budget: 1)
        let report = try await notHanging { await run.value }

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
        let tasks = [FakeTask(), FakeTask()]
        let run = KeyBackup.run(in: tasks[0]) { throw IsLocked() }
        let flush = KeyBackup.flush(in: tasks[1]) { throw IsLocked() }

        let report = try await notHanging { await run.value }
        let write = try await notHanging { await flush.value }

        XCTAssertNil(report)
        XCTAssertNil(write)
        XCTAssertEqual(tasks.map(\.told), [[false], [false]])
    }

    func testARunInATaskCompletesInTheBackground() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await backup.pause(.inBackground)
        let held = try await notHanging { await backup.run() }
        XCTAssertEqual(held.outcome, .paused(causes: [.inBackground]))

        let run = backup.run(in: FakeTask())
        let report = try await notHanging { await run.value }

        assertCompleted(report?.outcome)
        backup.close()
    }

    func testAPendingPreferenceIsFlushedInATask() async throws {
        let homeserver = try TestHomeserver(keys: 1, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        try await homeserver.setFaults(#"[{"kind":"status","code":503,"endpoint":"put_account_data"}]"#)
        _ = try await backup.preference.setEnabled(true)
        let (early, later) = (FakeTask(), FakeTask())

        let attempt = backup.flush(in: early, budget: 2)
        let pending = try await notHanging { await attempt.value }
        guard case .pending? = pending else { return XCTFail("outcome: \(String(describing: pending))") }
        XCTAssertEqual(early.told, [false])
        try await homeserver.setFaults("[]")
        let second = backup.flush(in: later)
        let written = try await notHanging { await second.value }

        XCTAssertEqual(written, .written)
        XCTAssertEqual(later.told, [true])
        backup.close()
    }
}
