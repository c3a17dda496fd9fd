import Foundation

/// The user's preference on whether room keys are backed up, which all their clients share (MSC4287). Get it from
/// ``KeyBackupProtocol/preference``. ``BackupPreference`` is the implementation.
///
/// It is about *backing up* only: an existing backup may be restored from whatever the preference says. Nothing here
/// switches backups on or off; the app does that.
public protocol BackupPreferenceProtocol: Sendable {
    /// Changes that another device has made to the preference, for the app to show. The last one comes at once, then
    /// each as it happens; a listener that falls 64 notices behind misses the oldest. Each access returns a separate
    /// stream, which ends with ``KeyBackupProtocol/close()``.
    var notices: AsyncStream<PreferenceNotice> { get }

    /// Decides what to do about backups on this device after the user has signed in. Call it before the app joins an
    /// existing backup as well as before it creates one. Takes up to about 20 seconds, plus the time that
    /// `resolvePreferenceConflict` takes to answer.
    ///
    /// ```swift
    /// let decision = try await backup.preference.decideAtSignIn()
    /// if decision.askUser {
    ///     _ = try await backup.preference.setEnabled(askUser(default: decision.backups))
    /// }
    /// ```
    ///
    /// - Throws: An ``AccessError`` if nothing could be decided: leave backups as they are and call this again.
    func decideAtSignIn() async throws -> SignInDecision

    /// Keeps the user's choice to turn backups on or off, and writes it to the account. The choice is durable when
    /// this returns, and the last choice counts. Delete or create a backup only after `PreferenceWrite.written`.
    /// Takes up to about 10 seconds, plus the time that `resolvePreferenceConflict` takes to answer. Cancelling the
    /// task does not take the choice back.
    ///
    /// - Throws: An ``AccessError`` if the choice could not be kept. A server that cannot be reached is no error:
    ///   the result is `PreferenceWrite.pending` then.
    func setEnabled(_ enabled: Bool) async throws -> PreferenceWrite

    /// Writes a pending choice to the account. Call it on a wake-up, when the network is back, and when the app
    /// starts. The tasks of ``KeyBackup/registerBackgroundTasks(identifiers:backups:)`` do that.
    ///
    /// - Parameter budget: Time after which this returns; `nil`: two minutes at most.
    /// - Returns: `nil` if no choice is pending; then no request is made.
    /// - Throws: An ``AccessError`` if the app takes no part in the preference, or the vault cannot be read or written. A
    ///   `CancellationError` if the task is cancelled; the choice stays pending.
    @discardableResult
    func flush(budget: Duration?) async throws -> PreferenceWrite?

    /// Returns the choice that is not yet written to the account, or `nil`. Uses no network.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func pending() async throws -> PendingPreference?

    /// Returns the account's value as this device saw it last, or `nil` if it never did. Uses no network.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func lastSeen() async throws -> SharedPreference?

    /// Reads the account's value from the server, in up to about 10 seconds. A change also comes by ``notices``.
    ///
    /// - Throws: An ``AccessError`` if the value cannot be read, and a `CancellationError` if the task is cancelled.
    @discardableResult
    func refresh() async throws -> SharedPreference

    /// Takes note of the account data in a sync response. Pass all its events in one call, and the responses one
    /// after the other; events of other types are ignored. Changes come by ``notices``.
    ///
    /// - Throws: An ``AccessError`` if the app takes no part in the preference, or the vault cannot be read or
    ///   written.
    func accountDataArrived(_ events: [AccountDataEvent]) async throws
}

extension BackupPreferenceProtocol {
    /// Writes a pending choice to the account, in two minutes at most: see ``flush(budget:)``.
    @discardableResult
    public func flush() async throws -> PreferenceWrite? { try await flush(budget: nil) }
}
