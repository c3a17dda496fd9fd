import Keyferry

/// What one run of a ``FakeKeyBackup`` does: it shows some progress, step by step, and ends.
public struct FakeRun: Sendable {
    /// The outcome of a run that got the whole backup.
    public static let completed = RunOutcome.completed(proof: .whole, acceptedShortfall: 0)

    /// The values that the run shows, in order.
    public var progress: [DownloadProgress]
    /// How it ends.
    public var outcome: RunOutcome
    /// How long each value stays before the next one.
    public var stepTime: Duration

    /// Makes a run.
    ///
    /// - Parameters:
    ///   - progress: The values that it shows, in order.
    ///   - outcome: How it ends.
    ///   - stepTime: How long each value stays before the next one; `.zero` in tests.
    public init(
        progress: [DownloadProgress] = [],
        outcome: RunOutcome = FakeRun.completed,
        stepTime: Duration = .milliseconds(100)
    ) {
        self.progress = progress
        self.outcome = outcome
        self.stepTime = stepTime
    }

    /// Returns a run that fetches, opens and delivers so many keys, in so many steps each.
    public static func of(
        keys: UInt64,
        steps: UInt64 = 4,
        outcome: RunOutcome = FakeRun.completed,
        stepTime: Duration = .milliseconds(100)
    ) -> FakeRun {
        let parts = (1...max(1, steps)).map { keys * $0 / max(1, steps) }
        let fetching = parts.map { DownloadProgress.fake(.fetching, total: keys, fetched: $0) }
        let delivering = parts.map { DownloadProgress.fake(.delivering, total: keys, fetched: keys, delivered: $0) }
        let progress = [DownloadProgress.fake(.preparing)] + fetching + delivering
        return FakeRun(progress: progress, outcome: outcome, stepTime: stepTime)
    }
}

extension DownloadProgress {
    /// Returns the progress of a download. What is delivered counts as opened, too.
    public static func fake(
        _ stage: DownloadStage = .resting,
        total: UInt64 = 0,
        fetched: UInt64 = 0,
        delivered: UInt64 = 0,
        keysPerSecond: UInt64 = 0,
        timeLeft: Duration? = nil
    ) -> DownloadProgress {
        DownloadProgress(
            stage: stage,
            total: total,
            fetched: fetched,
            opened: delivered,
            delivered: delivered,
            keysPerSecond: keysPerSecond,
            timeLeft: timeLeft
        )
    }
}
