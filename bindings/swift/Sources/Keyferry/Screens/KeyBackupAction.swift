/// What the user can do about a state, for a button.
public enum KeyBackupAction: Equatable, Sendable {
    /// Call `backup.pause()`.
    case pause
    /// Call `backup.start()`, and `backup.startNow()`.
    case resume
    /// Ask for the recovery key, and call `backup.unlock(with:)`.
    case unlock
    /// Call `backup.startNow()`.
    case retry

    /// What the user can do about a state; `nil` if there is nothing to do.
    public init?(for state: KeyBackupState) {
        switch state.activity {
        case .working: self = .pause
        case .paused(let causes) where causes.contains(.user): self = .resume
        case .stopped: self = .resume
        case .needsUnlock: self = .unlock
        case .waiting: self = .retry
        case .failed(let reason) where reason.canBeRetried: self = .retry
        case .idle, .paused, .short, .done, .failed: return nil
        }
    }

    /// The text of the button, in the language of the app.
    public var title: String {
        let name =
            switch self {
            case .pause: "keyferry_action_pause"
            case .resume: "keyferry_action_resume"
            case .unlock: "keyferry_action_unlock"
            case .retry: "keyferry_action_retry"
            }
        return Texts.current.text(name)
    }
}

extension KeyBackupState {
    /// Whether a bar says anything about this state.
    public var showsBar: Bool {
        switch activity {
        case .working: true
        case .idle, .paused, .waiting: progress.total > 0
        case .stopped, .needsUnlock, .short, .done, .failed: false
        }
    }
}

extension RunFailure {
    /// Whether another try can help, by itself or after the user has changed something.
    fileprivate var canBeRetried: Bool {
        switch self {
        case .tls, .diskFull, .refusedByServer, .backupNotServed, .overtaken, .internal: true
        case .noBackup, .unsupportedAlgorithm, .notSignedIn, .vaultGone, .vaultDamaged: false
        }
    }
}
