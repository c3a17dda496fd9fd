import Foundation
import KeyferryFFI

extension KeyBackup {
    /// One run of the download in the time that the OS grants. Call it in the launch handler of the task; it returns at
    /// once, and tells the OS the end. A success is what leaves nothing to be tried again.
    ///
    /// ```swift
    /// // Before the app has finished launching; the identifiers are in Info.plist, too.
    /// BGTaskScheduler.shared.register(forTaskWithIdentifier: "org.example.keys", using: nil) { @Sendable task in
    ///     KeyBackup.run(in: task) { try await session.openBackup() }
    /// }
    /// ```
    ///
    /// The closure is `@Sendable` because the OS calls it on a queue of its own: in a class of the main actor, which an app
    /// delegate is, Swift 6 stops the app otherwise.
    ///
    /// When the time is over the run ends by itself, within a fraction of a second. `inBackground` does not hold in that
    /// time. In the task modifiers of SwiftUI, which cancel the Swift task instead, call `runInBackground(budget:)`.
    ///
    /// - Parameters:
    ///   - task: A `BGProcessingTask` or a `BGAppRefreshTask`.
    ///   - budget: Seconds after which the run comes back by itself. `nil`, for a `BGProcessingTask`: when it is done, or
    ///     the OS says so. A `BGAppRefreshTask` has about 30: give it 25.
    ///   - open: Gives the backup, and opens it if need be.
    /// - Returns: The report, if anybody wants it; `nil` where `open` has thrown.
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

    /// The same for a backup that is open.
    @discardableResult
    public func run(in task: some BackgroundTask, budget: TimeInterval? = nil) -> Task<RunReport?, Never> {
        Self.run(in: task, budget: budget) { self }
    }

    /// One attempt at writing the preference that is pending, in the time that the OS grants: for wake-ups of the purpose
    /// `preferenceWrite`. It returns at once, and tells the OS the end.
    ///
    /// - Parameters:
    ///   - task: A `BGAppRefreshTask` or a `BGProcessingTask`.
    ///   - budget: Seconds after which it comes back by itself.
    ///   - open: Gives the backup, and opens it if need be.
    /// - Returns: What became of the wish; `nil` where there was none, or an error.
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

    /// The same for a backup that is open.
    @discardableResult
    public func flush(in task: some BackgroundTask, budget: TimeInterval = 20) -> Task<PreferenceWrite?, Never> {
        Self.flush(in: task, budget: budget) { self }
    }

    /// One run of the download in time that the OS grants while the app is in the background: for the events of a
    /// background `URLSession`, for the task modifiers of SwiftUI, and after `beginBackgroundTask`. For a `BGTask` there is
    /// `run(in:budget:)`.
    ///
    /// `inBackground` does not hold while this is under way, also where the app leaves the screen meanwhile. When it
    /// returns all is at rest, look-ups are closed, and `inBackground` holds again if the app is still in the background:
    /// the OS may suspend it. What counts is what `PhoneConditions`, or the app by `pause` and `resume`, has said last.
    ///
    /// Cancelling the task ends the run, within a fraction of a second.
    ///
    /// - Parameter budget: Seconds after which the run comes back by itself, fewer than the OS grants: it gives about 30
    ///   for the events of a session. `nil`: when it is done, or the task is cancelled.
    @discardableResult
    public func runInBackground(budget: TimeInterval? = 20) async -> RunReport {
        await causes.inGrantedTime { [self] in
            let report = await run(budget: budget)
            // Somebody else's run looks after itself.
            if case .alreadyRunning = report.outcome { return report }
            await awaitQuiescent()
            await closeLookups()
            return report
        }
    }
}

extension RunOutcome {
    /// All is done, or it waits for something that asks for a run by itself when it comes: the recovery key, the user's
    /// `resume` or `start`, the end of another run.
    var leavesNothingToTry: Bool {
        switch self {
        case .completed, .short, .needsUnlock, .stopped, .alreadyRunning: true
        case .paused(let causes): causes.contains(.user)
        case .failed(let reason): reason == .overtaken
        default: false
        }
    }
}
