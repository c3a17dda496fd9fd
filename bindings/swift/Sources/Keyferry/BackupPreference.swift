import Foundation
import KeyferryFFI

/// Whether the user wants room keys to be backed up, as all their clients share it (MSC4287). Get it from
/// `KeyBackup.preference`.
///
/// It decides about *backing up* only: a backup that exists may be restored from whatever it says. It switches nothing by
/// itself; the app acts on what it is told.
public struct BackupPreference: Sendable {
    private let preference: KeyBackupPreference
    private let host: HostCallbacks

    init(_ preference: KeyBackupPreference, host: HostCallbacks) {
        self.preference = preference
        self.host = host
    }

    /// What another device has changed: show it. The last one comes at once, then each as it happens. Every call is a
    /// listener of its own. Ends with `close` of the backup.
    public var notices: AsyncStream<PreferenceNotice> {
        host.preferenceNotices.stream()
    }

    /// What to do about backups on this device, now that the user has signed in. Ask before joining an existing backup as
    /// well as before creating one.
    ///
    /// - Throws: A `PreferenceError`, which is no decision: leave backups as they are and ask again.
    public func decideAtSignIn() async throws -> SignInDecision {
        try await preference.decideAtSignIn()
    }

    /// The user turns backups on or off. The wish is durable when this returns; the last one counts. Delete or create a
    /// backup only after `written`. Cancelling the task does not take the wish back.
    ///
    /// - Throws: A `PreferenceError`, if the wish could not be kept.
    public func setEnabled(_ enabled: Bool) async throws -> PreferenceWrite {
        try await preference.setEnabled(enabled: enabled)
    }

    /// Writes a wish that is pending: on a wake-up, when the network is back, and on start.
    ///
    /// - Parameter budget: Seconds after which it comes back; `nil`: until it is done.
    /// - Returns: `nil` if there is none.
    /// - Throws: A `PreferenceError`.
    @discardableResult
    public func flush(budget: TimeInterval? = nil) async throws -> PreferenceWrite? {
        try await preference.flush(budget: RunBudget(seconds: budget))
    }

    /// The wish that is not yet written, if there is one. Without network.
    ///
    /// - Throws: A `PreferenceError`.
    public func pending() async throws -> PendingPreference? {
        try await preference.pending()
    }

    /// The account's value as it was seen last on this device. Without network.
    ///
    /// - Throws: A `PreferenceError`.
    public func lastSeen() async throws -> SharedPreference? {
        try await preference.lastSeen()
    }

    /// Reads the account's value now. It switches nothing.
    ///
    /// - Throws: A `PreferenceError`.
    @discardableResult
    public func refresh() async throws -> SharedPreference {
        try await preference.refresh()
    }

    /// Takes note of account data that a sync has brought: pass all events of one answer at once, and one answer after the
    /// other. It switches nothing; changes come by `notices`.
    ///
    /// - Throws: A `PreferenceError`.
    public func accountDataArrived(_ events: [AccountDataEvent]) async throws {
        try await preference.accountDataArrived(events: events)
    }
}
