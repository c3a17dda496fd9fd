#if canImport(AppleFoundation)
import AppleFoundation
import BackgroundTasks
import XCTest

@testable import Keyferry

/// Belongs to the main actor, as an app delegate does: Swift stops the app if a closure of it is called elsewhere.
@MainActor
private final class MainActorApp {
    let open: @Sendable () async throws -> [KeyBackup]

    init(_ open: @escaping @Sendable () async throws -> [KeyBackup]) {
        self.open = open
    }

    func launch(_ identifiers: BackgroundTaskIdentifiers) -> Bool {
        let open = open
        return KeyBackup.registerBackgroundTasks(identifiers: identifiers) { try await open() }
    }
}

/// Tests the tasks of BGTaskScheduler.
final class RegisteredTaskTests: ApplePhone {
    func testASmallBackupIsDownloadedInARefresh() async throws {
        let homeserver = try newHomeserver()
        let recorder = Recorder()
        let open = opening(homeserver, sink: recorder.sink)
        let delegate = await MainActorApp { [try await open()] }
        let isComplete = await delegate.launch(identifiers)
        XCTAssertTrue(isComplete)
        let backup = try await unlocked(homeserver, sink: recorder.sink)
        // Tells how much is left.
        try await backup.refresh()
        try await eventually("a refresh is requested") { self.scheduler.pending["org.example.refresh"] != nil }

        let task = try XCTUnwrap(scheduler.launch("org.example.refresh"))
        try await eventually("the task has ended") { !task.completions.isEmpty }

        XCTAssertEqual(task.completions, [true])
        let count = await recorder.keys.count
        XCTAssertEqual(count, 300)
        XCTAssertTrue(scheduler.pending.isEmpty, "nothing is left to do")
    }

    func testALargeBackupWaitsForAProcessingTaskThatIosMayEnd() async throws {
        let homeserver = try newHomeserver(keys: 10_000)
        let open = opening(homeserver)
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [try await open()] }
        let backup = try await unlocked(homeserver)
        try await backup.refresh()
        try await eventually("processing is requested") { self.scheduler.pending["org.example.processing"] != nil }
        let request = scheduler.pending["org.example.processing"] as? BGProcessingTaskRequest
        XCTAssertEqual(request?.requiresNetworkConnectivity, true)
        XCTAssertEqual(request?.requiresExternalPower, false)
        try await homeserver.stallKeys()

        let task = try XCTUnwrap(scheduler.launch("org.example.processing"))
        try await eventually("the run is under way") { backup.state.activity == .working }
        task.expire()
        try await eventually("the task has ended") { !task.completions.isEmpty }

        XCTAssertEqual(task.completions, [false])
        try await eventually("the next one is requested") { self.scheduler.pending["org.example.processing"] != nil }
    }

    func testAResetIsCarriedOnInAProcessingTask() async throws {
        let homeserver = try newHomeserver()
        let crypto = TestCrypto(homeserver)
        let (account, token) = (homeserver.account, homeserver.details.accessToken)
        let open: @Sendable () async throws -> KeyBackup = {
            try await KeyBackup.open(
                account: account, secretKeeper: crypto, backupSigner: crypto, roomKeySource: crypto
            ) { _ in token }
        }
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [try await open()] }
        let backup = try await open()
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        _ = try await notHanging { await backup.run() }
        XCTAssertTrue(scheduler.pending.isEmpty)

        try await backup.moveBackup(for: .keyCompromised)
        XCTAssertEqual(Array(scheduler.pending.keys), ["org.example.processing"])
        let task = try XCTUnwrap(scheduler.launch("org.example.processing"))
        try await eventually("the task has ended") { !task.completions.isEmpty }

        XCTAssertEqual(task.completions, [true])
        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.version, "2")
        XCTAssertTrue(scheduler.pending.isEmpty, "nothing is left to do")
    }

    func testAnAccountThatIsNotOpenKeepsItsRequest() async throws {
        let (first, second) = (try newHomeserver(), try newHomeserver())
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let other = try await unlocked(first)
        let backup = try await unlocked(second)
        other.close()

        let report = try await notHanging { await backup.run() }

        XCTAssertTrue(report.everyKeyIsHere)
        XCTAssertFalse(scheduler.pending.isEmpty, "the first account still needs it")
        try await KeyBackup.forget(first.details.userId)
        XCTAssertTrue(scheduler.pending.isEmpty)
    }

    func testATaskThatCannotOpenItsBackupsIsPutOff() async throws {
        struct IsLocked: Error {}
        let homeserver = try newHomeserver()
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { throw IsLocked() }
        _ = try await unlocked(homeserver)
        try await eventually("a task is requested") { !self.scheduler.pending.isEmpty }
        let identifier = try XCTUnwrap(scheduler.pending.keys.first)

        let task = try XCTUnwrap(scheduler.launch(identifier))
        try await eventually("the task has ended") { !task.completions.isEmpty }

        XCTAssertEqual(task.completions, [false])
        let begin = try XCTUnwrap(scheduler.pending[identifier]?.earliestBeginDate)
        XCTAssertGreaterThan(begin.timeIntervalSinceNow, 10 * 60)
    }

    func testAnAppWithARefreshOfItsOwnGetsAProcessingTask() async throws {
        scheduler.refusal = { $0 is BGAppRefreshTaskRequest ? BGTaskScheduler.Error(.tooManyPendingTaskRequests) : nil }
        let homeserver = try newHomeserver()
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)
        try await backup.refresh()
        try await eventually("processing is requested") { self.scheduler.pending["org.example.processing"] != nil }
        XCTAssertNil(scheduler.pending["org.example.refresh"])
    }

    func testAnIdentifierThatInfoPlistLacksIsTold() {
        let identifiers = BackgroundTaskIdentifiers(processing: "a", appRefresh: "b", continued: "c")
        scheduler.permitted = ["a"]
        XCTAssertFalse(KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] })
        scheduler.permitted = nil
        XCTAssertFalse(
            KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }, "iOS would stop an app that asks late")
    }

    func testWithoutARefreshInInfoPlistEverythingIsProcessing() async throws {
        let identifiers = BackgroundTaskIdentifiers(processing: "d", appRefresh: "e", continued: nil)
        scheduler.permitted = ["d"]
        XCTAssertFalse(KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] })
        let backup = try await unlocked(newKeptHomeserver())
        try await backup.refresh()
        try await eventually("processing is requested") { self.scheduler.pending["d"] != nil }
    }

    func testWithoutProcessingInInfoPlistEverythingIsARefresh() async throws {
        let identifiers = BackgroundTaskIdentifiers(processing: "f", appRefresh: "g", continued: nil)
        scheduler.permitted = ["g"]
        XCTAssertFalse(KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] })
        let backup = try await unlocked(newKeptHomeserver(keys: 10_000))
        try await backup.refresh()
        try await eventually("a refresh is requested") { self.scheduler.pending["g"] != nil }
    }

    func testAnAccountThatIsNoLongerThereIsForgottenByTheTasks() async throws {
        let (gone, stays) = (try newKeptHomeserver(), try newKeptHomeserver())
        let open = opening(stays)
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [try await open()] }
        try await unlocked(gone).close()
        _ = try await unlocked(stays)
        try await eventually("a task is requested") { !self.scheduler.pending.isEmpty }

        for identifier in scheduler.pending.keys {
            let task = try XCTUnwrap(scheduler.launch(identifier))
            try await eventually("the task has ended") { !task.completions.isEmpty }
        }

        XCTAssertTrue(scheduler.pending.isEmpty, "iOS would start the app for nothing")
    }
}
#endif
