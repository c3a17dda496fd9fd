/// How a run of any job ended: of the download, of a reset, of uploads.
protocol OutcomeOfRun {
    /// The run that has the vault, if this one found it taken.
    var holder: RunHolder? { get }

    /// Whether everything is done, or the work waits for an event that requests a run by itself: an `unlock`, the user's
    /// `resume` or `start`, or the end of another run.
    var leavesNothingToTry: Bool { get }
}

/// The report of a run of any job.
protocol ReportOfRun: Sendable {
    associatedtype Outcome: OutcomeOfRun

    var outcome: Outcome { get }
}

extension RunReport: ReportOfRun {}
extension ResetReport: ReportOfRun {}
extension UploadReport: ReportOfRun {}

extension RunOutcome: OutcomeOfRun {
    var holder: RunHolder? {
        if case .alreadyRunning(let holder) = self { holder } else { nil }
    }

    var leavesNothingToTry: Bool {
        switch self {
        case .completed, .short, .needsUnlock, .stopped, .alreadyRunning: true
        case .paused(let causes): causes.contains(.user)
        case .failed(let reason): reason == .overtaken
        case .outOfBudget, .blocked: false
        }
    }
}

extension ResetOutcome: OutcomeOfRun {
    var holder: RunHolder? {
        if case .alreadyRunning(let holder) = self { holder } else { nil }
    }

    var leavesNothingToTry: Bool {
        switch self {
        case .completed, .nothingToDo, .needsUnlock, .stopped, .alreadyRunning: true
        // The app or the user has to decide something first.
        case .halted, .cryptoRefuses: true
        case .paused(let causes): causes.contains(.user)
        case .failed(let reason): reason == .overtaken
        case .outOfBudget, .blocked: false
        }
    }
}

extension UploadOutcome: OutcomeOfRun {
    var holder: RunHolder? {
        if case .alreadyRunning(let holder) = self { holder } else { nil }
    }

    var leavesNothingToTry: Bool {
        switch self {
        case .completed, .hindered, .cryptoRefuses, .stopped, .alreadyRunning: true
        case .paused(let causes): causes.contains(.user)
        case .failed(let reason): reason == .overtaken
        case .outOfBudget, .blocked: false
        }
    }
}
