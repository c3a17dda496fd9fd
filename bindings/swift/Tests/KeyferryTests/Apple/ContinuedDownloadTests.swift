#if canImport(AppleFoundation)
import AppleFoundation
import BackgroundTasks
import UIKit
import XCTest

@testable import Keyferry

/// Tests downloads that the user has started on screen.
final class ContinuedDownloadTests: ApplePhone {
    func testADownloadContinuesWhenTheUserLeavesAndShowsItsProgress() async throws {
        let homeserver = try newHomeserver(keys: 6_000, "--bytes-per-second", "1000000")
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)

        backup.startNow()
        try await eventually("keys arrive") { backup.progress.fetched > 100 }
        let task = try XCTUnwrap(scheduler.continued.last)
        NotificationCenter.default.post(name: UIApplication.didEnterBackgroundNotification, object: nil)
        try await eventually("iOS shows the progress") {
            task.progress.completedUnitCount > 50 && task.title == "Downloading message keys"
                && task.subtitle.contains("of 6,000 keys")
        }
        try await eventually("the task has ended") { !task.completions.isEmpty }

        XCTAssertEqual(task.completions, [true])
        XCTAssertEqual(backup.progress.opened, 6_000)
        XCTAssertEqual(task.progress.completedUnitCount, 1_000)
        NotificationCenter.default.post(name: UIApplication.willEnterForegroundNotification, object: nil)
    }

    func testATaskThatIosEndsLeavesTheRestToALaterOne() async throws {
        let homeserver = try newHomeserver()
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)
        try await homeserver.stallKeys()

        backup.startNow()
        try await eventually("the run is under way") { backup.state.activity == .working }
        let task = try XCTUnwrap(scheduler.continued.last)
        task.expire()
        try await eventually("the task has ended") { !task.completions.isEmpty }

        XCTAssertEqual(task.completions, [false])
        try await eventually("another task is requested") { !self.scheduler.pending.isEmpty }
    }

    func testARunThatIsUnderWayIsContinuedByOneTask() async throws {
        let homeserver = try newHomeserver(keys: 3_000, "--bytes-per-second", "1000000")
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)
        let run = Task { await backup.run() }
        try await eventually("keys arrive") { backup.progress.fetched > 100 }
        let before = scheduler.continued.count

        for _ in 0..<5 { backup.startNow() }
        try await eventually("iOS starts a task") { self.scheduler.continued.count > before }
        NotificationCenter.default.post(name: UIApplication.didEnterBackgroundNotification, object: nil)
        let report = try await notHanging { await run.value }
        let task = try XCTUnwrap(scheduler.continued.last)
        try await eventually("the task has ended") { !task.completions.isEmpty }

        assertCompleted(report.outcome)
        XCTAssertEqual(task.completions, [true])
        XCTAssertEqual(scheduler.continued.count, before + 1)
        NotificationCenter.default.post(name: UIApplication.willEnterForegroundNotification, object: nil)
    }

    func testATaskThatIosNeverStartsIsARunOfTheApp() async throws {
        scheduler.ignoresContinued = true
        ContinuedDownloads.shared.patience = .milliseconds(100)
        let homeserver = try newHomeserver()
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)
        backup.startNow()
        try await eventually("every key is here") { backup.state.activity == .done(everyKeyIsHere: true) }
    }

    func testAnInfoPlistWithoutThePatternIsARunOfTheApp() async throws {
        let homeserver = try newHomeserver()
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        scheduler.permitted = ["org.example.processing", "org.example.refresh"]
        let backup = try await unlocked(homeserver)
        backup.startNow()
        try await eventually("every key is here") { backup.state.activity == .done(everyKeyIsHere: true) }
    }

    func testWhereIosTakesNoTaskTheDownloadIsARunOfTheApp() async throws {
        scheduler.refusal = { $0 is BGContinuedProcessingTaskRequest ? BGTaskScheduler.Error(.immediateRunIneligible) : nil }
        let homeserver = try newHomeserver()
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)
        let before = scheduler.continued.count

        backup.startNow()
        try await eventually("every key is here") { backup.state.activity == .done(everyKeyIsHere: true) }

        XCTAssertEqual(scheduler.continued.count, before)
    }
}
#endif
