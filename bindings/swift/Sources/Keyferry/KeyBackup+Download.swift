import Foundation
import KeyferryFFI

extension KeyBackup {
    /// Fetches, opens and delivers until everything is done, the budget is used up, or something is in the way. Call it
    /// whenever there is an opportunity: it goes on where the last run ended. In the background, where `inBackground` holds,
    /// it comes back at once: call `run(in:budget:)` in a `BGTask`, and `runInBackground(budget:)` anywhere else.
    ///
    /// Cancelling the task ends the run, as `paused` by `timeExpiring`; this returns when all is at rest. A call that is
    /// answered with `alreadyRunning` ends nothing when it is cancelled.
    ///
    /// - Parameter budget: Seconds after which the run comes back by itself; `nil`: until it is done.
    public func run(budget: TimeInterval? = nil) async -> RunReport {
        let limit = RunBudget(seconds: budget)
        let report = await runs.stoppable(stop: { [download] in download.endRun() }, work: { [download] in
            await download.run(budget: limit)
        })
        // Requests beside the run end with it. Not waited for where nobody has cancelled: they may take their time.
        if Task.isCancelled, case .paused = report.outcome { await download.awaitQuiescent() }
        return report
    }

    /// Holds the download for a cause, until `resume` with it; several can hold at once. Returns when what the cause stops
    /// is at rest, in a fraction of a second. The user's pause stays over restarts. `inBackground` holds nothing in the time
    /// of a `run(in:budget:)` or a `runInBackground(budget:)`, and all when that is over.
    ///
    /// - Throws: A `StatusError`, if it cannot be kept over a restart; until then it holds nevertheless.
    public func pause(_ cause: PauseCause = .user) async throws {
        try await causes.pause(cause)
    }

    /// The cause is gone. If it was the last one, a run under way goes on, or a wake-up is asked for.
    ///
    /// - Throws: A `StatusError`, if that cannot be kept.
    public func resume(_ cause: PauseCause = .user) async throws {
        try await causes.resume(cause)
    }

    /// Gives the download up until `start`, also over restarts: a run under way ends, what is in the vault stays, and no
    /// wake-up is asked for. Returns when all is at rest.
    ///
    /// - Throws: A `StatusError`, if it cannot be kept over a restart; until then it holds nevertheless.
    public func stop() async throws {
        try await download.stop()
    }

    /// Takes up what was stopped, or paused by the user, and asks for a wake-up.
    ///
    /// - Throws: A `StatusError`, if that cannot be kept.
    public func start() async throws {
        try await download.start()
    }

    /// Waits until no run and no request of the download is at work: no database, lock, connection or busy thread. It does
    /// not end anything.
    public func awaitQuiescent() async {
        await download.awaitQuiescent()
    }

    /// Moves these rooms to the front, the first of them first: at once in a run under way, else in the next one. At most
    /// 1,000 at a time.
    ///
    /// - Throws: A `StatusError`, if that cannot be kept; a run under way follows nevertheless.
    public func prioritiseRooms(_ roomIDs: [String]) async throws {
        try await download.prioritiseRooms(roomIds: roomIDs)
    }

    /// Changes what the download may use; a run under way follows at once.
    public func setPolicy(_ policy: DownloadPolicy) {
        download.setPolicy(policy: policy)
    }
}
