import Foundation
import KeyferryFFI

extension KeyBackup {
    /// Fetches, opens and delivers keys until everything is done, the budget is used up, or something is in the way.
    /// Call it whenever there is an opportunity: it continues where the last run ended. In the background, where
    /// `inBackground` holds, it returns at once: call ``run(in:budget:)`` in a `BGTask`, and
    /// ``runInBackground(budget:)`` anywhere else.
    ///
    /// Only one run works on a vault at a time, across all clients and processes; further ones return
    /// `alreadyRunning` at once.
    ///
    /// Cancelling the task ends the run as `paused` by `timeExpiring`; this returns when the run has ended, a
    /// fraction of a second later. It never ends the run of another caller.
    ///
    /// - Parameter budget: Seconds after which the run returns by itself, of use from 1 on; `nil`: no limit.
    /// - Returns: How the run ended, and what the vault holds then.
    public func run(budget: TimeInterval? = nil) async -> RunReport {
        let limit = RunBudget(seconds: budget)
        let report = await runs.stoppable(stop: { [download] in download.endRun() }, work: { [download] in
            await download.run(budget: limit)
        })
        // A cancelled run ends the requests beside it. Without a cancellation they may take longer, and are not
        // waited for.
        if Task.isCancelled, case .paused = report.outcome { await download.awaitQuiescent() }
        return report
    }

    /// Holds the download for a cause until ``resume(_:)`` is called with it. Several causes can hold at once;
    /// `docs/background-execution.md` has a table of the work that each one stops. Returns when that work has
    /// stopped, in a fraction of a second. Only the user's pause is kept over restarts.
    ///
    /// `inBackground` holds nothing during a ``run(in:budget:)`` or a ``runInBackground(budget:)``, and holds again
    /// when that has ended.
    ///
    /// - Throws: A `StatusError` if the user's pause cannot be kept over a restart; it holds until then nevertheless.
    public func pause(_ cause: PauseCause = .user) async throws {
        try await causes.pause(cause)
    }

    /// Ends a ``pause(_:)`` for a cause. If no other cause holds the download, a run under way continues, or a
    /// wake-up is requested.
    ///
    /// - Throws: A `StatusError` if the end of the user's pause cannot be written to the vault.
    public func resume(_ cause: PauseCause = .user) async throws {
        try await causes.resume(cause)
    }

    /// Gives the download up until ``start()``, also over restarts: a run under way ends, the vault keeps what it
    /// has, and no wake-up is requested. Returns when the run has ended.
    ///
    /// - Throws: A `StatusError` if the stop cannot be kept over a restart; it holds until then nevertheless.
    public func stop() async throws {
        try await download.stop()
    }

    /// Ends a ``stop()``, or a pause by the user, and requests a wake-up.
    ///
    /// - Throws: A `StatusError` if the vault cannot be written.
    public func start() async throws {
        try await download.start()
    }

    /// Waits until no run and no request of the download is at work and none of them holds a database, lock,
    /// connection or thread. Ends nothing itself.
    public func awaitQuiescent() async {
        await download.awaitQuiescent()
    }

    /// Moves these rooms to the front, the first one first: they are fetched, opened and delivered before all others,
    /// at once during a run, otherwise in the next run. Only the first 1,000 of a call count.
    ///
    /// - Throws: A `StatusError` if the vault cannot be written; a run under way follows nevertheless.
    public func prioritiseRooms(_ roomIDs: [String]) async throws {
        try await download.prioritiseRooms(roomIds: roomIDs)
    }

    /// Changes what the download may use. A run under way follows at once. Values out of bounds are brought within
    /// them.
    ///
    /// `meteredBytes` holds no run before the app reports the cause `meteredNetwork`, as ``PhoneConditions`` does.
    /// Until then it only makes wake-ups ask for an unmetered network.
    public func setPolicy(_ policy: DownloadPolicy) {
        download.setPolicy(policy: policy)
    }
}
