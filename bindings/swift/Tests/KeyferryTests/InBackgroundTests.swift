import XCTest

@testable import Keyferry

/// Tests runs while `PhoneConditions` reports that the app leaves the screen and comes back.
final class InBackgroundTests: BackupTestCase {
    func testARunInGrantedTimeCompletesInTheBackgroundAndRestoresThePause() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await openUnlocked(homeserver)
        let conditions = backup.conditionReporter()
        conditions.report(.inBackground, holds: true)
        try await waitUntil(backup, isHeldBy: [.inBackground])
        let held = try await notHanging { await backup.run(budget: .seconds(20)) }
        XCTAssertEqual(held.outcome, .paused(causes: [.inBackground]))

        let report = try await notHanging { await backup.runInBackground(budget: .seconds(20)) }

        assertCompleted(report.outcome)
        try await assertHeld(backup, by: [.inBackground])
        conditions.report(.inBackground, holds: false)
        try await waitUntil(backup, isHeldBy: [])
        backup.close()
    }

    #if os(Linux)
    func testARunInGrantedTimeLeavesNoFileOfTheVaultOpen() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        for appIsInBackground in [false, true] {
            let directory = try newDirectory()
            let backup = try await open(homeserver, in: directory)
            try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
            if appIsInBackground { try await backup.pause(.inBackground) }
            _ = try await backup.roomKey(session: "session", in: "!room:localhost")
            // In the background the vault is open for that call only.
            XCTAssertEqual(try openFiles(below: directory).isEmpty, appIsInBackground)

            _ = try await notHanging { await backup.runInBackground() }

            XCTAssertEqual(try openFiles(below: directory), [])
            backup.close()
        }
    }

    private func openFiles(below directory: URL) throws -> [String] {
        let numbers = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        let files = numbers.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + $0) }
        return files.filter { $0.hasPrefix(directory.path) }
    }
    #endif

    func testARunInGrantedTimeLeavesNoPauseIfTheAppIsOnTheScreen() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await openUnlocked(homeserver)
        let conditions = backup.conditionReporter()

        let report = try await notHanging { await backup.runInBackground() }

        assertCompleted(report.outcome)
        try await assertHeld(backup, by: [])
        withExtendedLifetime(conditions) { backup.close() }
    }

    func testTheAppCanLeaveAndComeBackDuringARunInGrantedTime() async throws {
        for comesBack in [false, true] {
            let homeserver = try TestHomeserver(keys: 5_000, rooms: 5, "--bytes-per-second", "4000000")
            let backup = try await openUnlocked(homeserver)
            let conditions = backup.conditionReporter()
            let progress = backup.progressUpdates
            let run = Task { await backup.runInBackground() }
            try await waitUntilFetching(progress)

            conditions.report(.inBackground, holds: true)
            // Without the granted time, the cause would have ended the run by now.
            try await Task.sleep(nanoseconds: 200_000_000)
            if comesBack { conditions.report(.inBackground, holds: false) }
            let report = try await notHanging { await run.value }

            assertCompleted(report.outcome)
            try await waitUntil(backup, isHeldBy: comesBack ? [] : [.inBackground])
            backup.close()
        }
    }

    func testACancelledRunInGrantedTimeRestoresThePause() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.stallKeys()
        let backup = try await openUnlocked(homeserver)
        try await backup.pause(.inBackground)
        let progress = backup.progressUpdates
        let run = Task { await backup.runInBackground(budget: nil) }
        try await waitUntilFetching(progress)

        run.cancel()
        let report = try await notHanging { await run.value }

        XCTAssertEqual(report.outcome, .paused(causes: [.timeExpiring]))
        try await assertHeld(backup, by: [.inBackground])
        backup.close()
    }

    func testTheLastOfTwoRunsInGrantedTimeRestoresThePause() async throws {
        let homeserver = try TestHomeserver(keys: 5_000, rooms: 5, "--bytes-per-second", "4000000")
        let backup = try await openUnlocked(homeserver)
        try await backup.pause(.inBackground)
        let progress = backup.progressUpdates
        let task = FakeTask()
        let run = KeyBackup.work(in: task) { [backup] }
        try await waitUntilFetching(progress)

        // Begins when the first one has ended: time that the OS grants is not to end before its work.
        let second = try await notHanging { await backup.runInBackground() }
        assertCompleted(second.outcome)
        let report = try await notHanging { await run.value.first }

        assertCompleted(report?.outcome)
        XCTAssertEqual(task.told, [true])
        try await assertHeld(backup, by: [.inBackground])
        backup.close()
    }

    private func openUnlocked(_ homeserver: TestHomeserver) async throws -> KeyBackup {
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        return backup
    }

    private func assertHeld(_ backup: KeyBackup, by causes: [PauseCause], line: UInt = #line) async throws {
        let status = try await backup.status()
        XCTAssertEqual(status.causes, causes, line: line)
    }

    /// Waits, because reports reach the download a moment later.
    private func waitUntil(_ backup: KeyBackup, isHeldBy causes: [PauseCause]) async throws {
        try await notHanging {
            while try await backup.status().causes != causes { try await Task.sleep(nanoseconds: 5_000_000) }
        }
    }
}
