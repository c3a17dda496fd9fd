/// What a screen shows about the download: how far it is, and what it is doing or waiting for.
public struct KeyBackupState: Equatable, Sendable {
    /// What the download is doing or waiting for.
    public enum Activity: Equatable, Sendable {
        /// No run is under way in this process, and nothing is in the way of the next one.
        case idle
        /// A run is under way in this process.
        case working
        /// These causes hold the download until they are gone. Only the user ends a pause of the user.
        case paused(causes: Set<PauseCause>)
        /// The user has given the download up, until `start`.
        case stopped
        /// Everything is fetched, and some of it waits for the recovery key: ask the user for it, and call `unlock`.
        case needsUnlock
        /// The download waits for this to pass by itself.
        case waiting(for: BlockedReason)
        /// All that the server returns is here. It counts so many keys more.
        case short(missing: UInt64)
        /// Everything is here. `everyKeyIsHere` is false if the app has accepted that keys are missing, or keys failed.
        case done(everyKeyIsHere: Bool)
        /// The download cannot continue by itself.
        case failed(RunFailure)
    }

    /// What the download is doing or waiting for.
    public var activity: Activity
    /// How far the download is.
    public var progress: DownloadProgress

    /// Makes a state, for previews and tests.
    public init(_ activity: Activity, _ progress: DownloadProgress) {
        self.activity = activity
        self.progress = progress
    }
}

extension KeyBackupState.Activity {
    /// What follows from a run that has ended.
    ///
    /// - Parameters:
    ///   - outcome: How it ended.
    ///   - everyKeyIsHere: What its report says.
    public init(after outcome: RunOutcome, everyKeyIsHere: Bool) {
        self =
            switch outcome {
            case .completed: .done(everyKeyIsHere: everyKeyIsHere)
            case .short(let versions): .short(missing: versions.reduce(0) { $0 + $1.missing })
            case .paused(let causes): .held(by: causes)
            case .stopped: .stopped
            case .needsUnlock: .needsUnlock
            case .blocked(let reason, _): .waiting(for: reason)
            // The newer run continues the work.
            case .failed(.overtaken), .outOfBudget, .alreadyRunning: .idle
            case .failed(let reason): .failed(reason)
            }
    }

    /// What follows for the download from a run of a reset that has ended.
    init(after outcome: ResetOutcome) {
        self =
            switch outcome {
            case .paused(let causes): .held(by: causes)
            case .stopped: .stopped
            case .needsUnlock: .needsUnlock
            case .blocked(let reason, _): .waiting(for: reason)
            // The newer run continues the work.
            case .failed(.overtaken), .outOfBudget, .alreadyRunning: .idle
            case .completed, .nothingToDo, .halted, .cryptoRefuses: .idle
            case .failed(let reason): .failed(reason)
            }
    }

    /// What the vault says before the first run of this process.
    init(_ status: DownloadStatus) {
        let summary = status.summary
        let failures = summary.failed + summary.conflicts + summary.missing
        self =
            if status.stopped {
                .stopped
            } else if !status.causes.isEmpty {
                .held(by: status.causes)
            } else if !status.fetchComplete {
                .idle
            } else if summary.locked > 0 {
                .needsUnlock
            } else if summary.isSettled {
                .done(everyKeyIsHere: failures == 0)
            } else {
                .idle
            }
    }

    /// Whether only a run can know this: the vault does not keep it.
    var isFoundByRun: Bool {
        switch self {
        case .waiting, .failed, .short: true
        default: false
        }
    }

    private static func held(by causes: [PauseCause]) -> Self {
        // Time that ends is no obstacle: the next run goes on.
        let lasting = Set(causes).subtracting([.timeExpiring])
        return lasting.isEmpty ? .idle : .paused(causes: lasting)
    }
}

extension DownloadSummary {
    /// Whether everything is opened and, if there was a sink, delivered.
    fileprivate var isSettled: Bool {
        let isDelivered = delivered == 0 || delivered + refused + conflicts >= opened
        return total > 0 && opened + failed >= total && isDelivered
    }
}
