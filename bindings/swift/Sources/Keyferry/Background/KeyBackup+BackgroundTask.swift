import Foundation
import KeyferryFFI

extension KeyBackup {
    /// Does one run of the download in the time that the OS grants. Call it in the launch handler of the task. It
    /// returns at once, and reports the end of the run to the OS, as a success if nothing is left to try again.
    ///
    /// ```swift
    /// // Before the app has finished launching; the identifiers are in Info.plist, too.
    /// BGTaskScheduler.shared.register(forTaskWithIdentifier: "org.example.keys", using: nil) { @Sendable task in
    ///     KeyBackup.run(in: task) { try await session.openBackup() }
    /// }
    /// ```
    ///
    /// The closure must be `@Sendable` because the OS calls it on a queue of its own: in a class of the main actor,
    /// such as an app delegate, Swift 6 would otherwise stop the app.
    ///
    /// When the time is over, the run ends by itself within a fraction of a second. The cause `inBackground` does not
    /// hold in that time. The task modifiers of SwiftUI cancel the Swift task instead: call
    /// ``runInBackground(budget:)`` there.
    ///
    /// - Parameters:
    ///   - task: A `BGProcessingTask` or a `BGAppRefreshTask`.
    ///   - budget: Seconds after which the run returns by itself. A `BGAppRefreshTask` has about 30: use 25. `nil`,
    ///     for a `BGProcessingTask`: the run ends when it is done or the OS takes the time back.
    ///   - open: Returns the backup, and opens it if it is not open.
    /// - Returns: A task with the report of the run, `nil` if `open` has thrown. It may be ignored.
    @discardableResult
    public static func run(
        in task: some BackgroundTask,
        budget: TimeInterval? = nil,
        of open: @escaping @Sendable () async throws -> KeyBackup
    ) -> Task<RunReport?, Never> {
        BackgroundWork.begin(in: task) { () async -> (RunReport?, Bool) in
            guard let backup = try? await open() else { return (nil, false) }
            let report = await backup.runInBackground(budget: budget)
            return (report, report.outcome.leavesNothingToTry)
        }
    }

    /// Does one run of the download in the time that the OS grants, for a backup that is open. Returns at once, and
    /// reports the end of the run to the OS, as ``run(in:budget:of:)`` does.
    ///
    /// - Parameters:
    ///   - task: A `BGProcessingTask` or a `BGAppRefreshTask`.
    ///   - budget: Seconds after which the run returns by itself: 25 for a `BGAppRefreshTask`. `nil`: no limit.
    /// - Returns: A task with the report of the run. It may be ignored.
    @discardableResult
    public func run(in task: some BackgroundTask, budget: TimeInterval? = nil) -> Task<RunReport?, Never> {
        Self.run(in: task, budget: budget) { self }
    }

    /// Makes one attempt to write a pending preference, in the time that the OS grants for a wake-up of the purpose
    /// `preferenceWrite`. Returns at once, and reports the end to the OS, as a success if nothing is pending any
    /// more.
    ///
    /// ```swift
    /// BGTaskScheduler.shared.register(
    ///     forTaskWithIdentifier: "org.example.preference", using: nil
    /// ) { @Sendable task in
    ///     KeyBackup.flush(in: task) { try await session.openBackup() }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - task: A `BGAppRefreshTask` or a `BGProcessingTask`.
    ///   - budget: Seconds after which the attempt ends by itself.
    ///   - open: Returns the backup, and opens it if it is not open.
    /// - Returns: A task with the result of the write, `nil` if nothing was pending or an error was thrown. It may be
    ///   ignored.
    @discardableResult
    public static func flush(
        in task: some BackgroundTask,
        budget: TimeInterval = 20,
        of open: @escaping @Sendable () async throws -> KeyBackup
    ) -> Task<PreferenceWrite?, Never> {
        BackgroundWork.begin(in: task) { () async -> (PreferenceWrite?, Bool) in
            do {
                let write = try await open().preference.flush(budget: budget)
                if case .pending? = write { return (write, false) }
                return (write, true)
            } catch {
                return (nil, false)
            }
        }
    }

    /// Makes one attempt to write a pending preference in the time that the OS grants, for a backup that is open.
    /// Returns at once, and reports the end to the OS, as ``flush(in:budget:of:)`` does.
    ///
    /// - Parameters:
    ///   - task: A `BGAppRefreshTask` or a `BGProcessingTask`.
    ///   - budget: Seconds after which the attempt ends by itself.
    /// - Returns: A task with the result of the write, `nil` if nothing was pending or an error was thrown. It may be
    ///   ignored.
    @discardableResult
    public func flush(in task: some BackgroundTask, budget: TimeInterval = 20) -> Task<PreferenceWrite?, Never> {
        Self.flush(in: task, budget: budget) { self }
    }

    /// Does one run of the download in time that the OS grants while the app is in the background: for the events of
    /// a background `URLSession`, in the task modifiers of SwiftUI, and after `beginBackgroundTask`. In a `BGTask`,
    /// call ``run(in:budget:)`` instead.
    ///
    /// The cause `inBackground` does not hold during this call, even if the app leaves the screen meanwhile. When it
    /// returns, the run has ended, look-ups are closed, and `inBackground` holds again if the app is in the
    /// background, as ``PhoneConditions`` or the app (by ``pause(_:)`` and ``resume(_:)``) has reported last. The OS
    /// may suspend the app then.
    ///
    /// Cancelling the task ends the run within a fraction of a second.
    ///
    /// - Parameter budget: Seconds after which the run returns by itself, fewer than the OS grants, which is about 30
    ///   for the events of a session. `nil`: the run ends when it is done or the task is cancelled.
    /// - Returns: The report of the run.
    @discardableResult
    public func runInBackground(budget: TimeInterval? = 20) async -> RunReport {
        await causes.inGrantedTime { [self] in
            let report = await run(budget: budget)
            // Another caller's run closes everything itself.
            if case .alreadyRunning = report.outcome { return report }
            await awaitQuiescent()
            await closeLookups()
            return report
        }
    }
}

extension RunOutcome {
    /// Whether everything is done, or the work waits for an event that requests a run by itself: an `unlock`, the
    /// user's `resume` or `start`, or the end of another run.
    var leavesNothingToTry: Bool {
        switch self {
        case .completed, .short, .needsUnlock, .stopped, .alreadyRunning: true
        case .paused(let causes): causes.contains(.user)
        case .failed(let reason): reason == .overtaken
        default: false
        }
    }
}
