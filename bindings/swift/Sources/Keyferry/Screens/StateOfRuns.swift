import Foundation

/// Keeps the state of the download: from the runs of this process, and from the progress that they report. A reset
/// downloads, too, so its runs count.
final class StateOfRuns: @unchecked Sendable {
    let progress: Broadcast<DownloadProgress>
    let state: Broadcast<KeyBackupState>

    private let lock = NSLock()
    private var now: KeyBackupState
    private var underWay = 0
    /// How the last run has ended. Calls that found another run at work do not count.
    private var last: KeyBackupState.Activity?

    init() {
        let nothing = DownloadProgress(restingAt: nil)
        now = KeyBackupState(.idle, nothing)
        progress = Broadcast(bufferLimit: 1, latest: nothing)
        state = Broadcast(bufferLimit: 1, latest: now)
    }

    var current: KeyBackupState {
        lock.withLock { now }
    }

    /// Takes over the figures of a run under way.
    func show(_ figures: DownloadProgress) {
        change { $0.progress = figures }
    }

    /// Takes over what the vault says between runs, unless that is less than what the last run has found out.
    func follow(_ status: DownloadStatus) {
        let activity = KeyBackupState.Activity(status)
        change { now in
            guard underWay == 0 else { return }
            now.progress = DownloadProgress(restingAt: status.summary)
            if !(activity == .idle && now.activity.isFoundByRun) { now.activity = activity }
        }
    }

    /// Shows a pause between runs without what the vault says.
    func showPause(by cause: PauseCause) {
        change { now in
            guard underWay == 0 else { return }
            switch now.activity {
            case .paused(let causes): now.activity = .paused(causes: causes.union([cause]))
            case .idle: now.activity = .paused(causes: [cause])
            default: break
            }
        }
    }

    /// Does `run`, and shows that it is under way and how it ends.
    ///
    /// - Parameter after: Returns what follows from its report.
    func during<Report: ReportOfRun>(
        after: (Report) -> KeyBackupState.Activity,
        _ run: @Sendable () async -> Report
    ) async -> Report {
        change { now in
            underWay += 1
            now.activity = .working
        }
        let report = await run()
        change { now in
            underWay -= 1
            if report.outcome.holder == nil { last = after(report) }
            guard underWay == 0 else { return }
            now.activity = last ?? .idle
            last = nil
        }
        return report
    }

    /// Waits until no run of this process is under way; `nil`: without a limit of time. Returns false if none was, if the
    /// time is over, or if the task is cancelled.
    func hasEnded(within time: Duration?) async -> Bool {
        guard lock.withLock({ underWay > 0 }) else { return false }
        let states = state.stream()
        let wait = Task {
            for await now in states where now.activity != .working { return true }
            return false
        }
        let clock = time.map { time in
            Task {
                try await Task.sleep(for: time)
                wait.cancel()
            }
        }
        return await withTaskCancellationHandler {
            defer { clock?.cancel() }
            return await wait.value
        } onCancel: {
            wait.cancel()
        }
    }

    func finish() {
        progress.finish()
        state.finish()
    }

    /// Changes the state and tells listeners, under the lock: otherwise a newer value could come first.
    private func change(_ change: (inout KeyBackupState) -> Void) {
        lock.withLock {
            let before = now
            change(&now)
            if now.progress != before.progress { progress.send(now.progress) }
            if now != before { state.send(now) }
        }
    }
}
