/// Resets the backup of an account without losing a key: creates one, moves it to a new key, deletes old versions, turns
/// backups off. A part of ``KeyBackupProtocol``.
///
/// Nothing of this happens by itself. A move is kept in the vault, step by step: after ``moveBackup(for:accepting:)`` or
/// ``createBackup()``, call ``runReset(budget:)`` at every opportunity until it has completed. The old version stays on the
/// server until ``deleteVersion(_:accepting:)`` is called.
///
/// ```swift
/// let readiness = try await backup.prepareReset(for: .keyCompromised) // what it costs, and what would be lost
/// try await backup.moveBackup(for: .keyCompromised)
/// let report = await backup.runReset() // again and again, until it has completed
/// if report.outcome == .completed, let old = report.status?.oldVersion { try await backup.deleteVersion(old) }
/// ```
///
/// A reset needs the app's crypto: its `secretKeeper`, `backupSigner` and `roomKeySource`, which the backup is opened with.
public protocol KeyBackupResetProtocol: AnyObject, Sendable {
    /// How far runs of a reset are, at most ten times a second and at every step, or why the reset has stopped
    /// (`ResetProgress.stopped`). The latest value comes at once, if this process has begun or run a reset, and a slow
    /// listener gets the newest value. Each access returns a separate stream, which ends
    /// with ``KeyBackupProtocol/close()``.
    ///
    /// While keys are being read back, ``KeyBackupProtocol/progressUpdates`` has the details.
    var resetProgressUpdates: AsyncStream<ResetProgress> { get }

    /// Returns what a reset would mean: which way is right, what would be lost, what it costs. Makes one small request and
    /// changes nothing; without a network it answers from what the vault knows.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func prepareReset(for cause: ResetCause) async throws -> ResetReadiness

    /// Begins to create a backup where the account has none. First makes sure that the preference says that backups are on
    /// (MSC4287). ``runReset(budget:)`` does the rest: it keeps the new key in secret storage, creates the version, gives
    /// its key to the app's crypto, and uploads every key that this device has.
    ///
    /// - Throws: A ``ResetError``: `backupExists` if there is a backup, `access` with `AccessError.notConfigured` without
    ///   the app's crypto, and others.
    func createBackup() async throws

    /// Begins to move the backup to a new key. First makes sure that the preference says that backups are on (MSC4287).
    /// ``runReset(budget:)`` does the rest. The old version is not changed, and stays until
    /// ``deleteVersion(_:accepting:)`` is called.
    ///
    /// After a reset has stopped (`ResetStatus.stopped`), this begins again, with the same new key.
    ///
    /// - Parameters:
    ///   - cause: Why the user wants to move it. A key that is lost or known to others renews secret storage, too.
    ///   - losses: Losses that the user has accepted.
    /// - Throws: A ``ResetError``: `losesKeys` if the vault lacks keys of the old version that `losses` does not name,
    ///   `access` with `AccessError.notConfigured` without the app's crypto, and others.
    func moveBackup(for cause: ResetCause, accepting losses: [KeyLoss]) async throws

    /// Takes the next steps of the reset, until it has completed, the budget is used up, or something is in the way. Call it
    /// whenever there is an opportunity: it continues where the last run ended. It shares its pauses and its policy with the
    /// download, and only one of the two is at work at a time. A wake-up is requested for what is left, and the tasks of
    /// ``KeyBackup/registerBackgroundTasks(identifiers:backups:)`` carry it on.
    ///
    /// Cancelling the task ends the run as `paused` by `timeExpiring`; this returns when the run has ended, a fraction of a
    /// second later. The reset goes on with the next run.
    ///
    /// - Parameter budget: Time after which the run returns by itself. To create the new version, it needs a minute. `nil`:
    ///   no limit.
    /// - Returns: How the run ended, and how far the reset has come.
    @discardableResult
    func runReset(budget: Duration?) async -> ResetReport

    /// Gives a reset up that has changed nothing on the server yet.
    ///
    /// - Throws: A ``ResetError``: `notUnderWay` if there is none, or if the new version may exist already; then let it
    ///   complete.
    func cancelReset() async throws

    /// Returns how far the reset under way has come, or the last one; `nil` if there was none. Uses no network.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func resetStatus() async throws -> ResetStatus?

    /// Puts new secret storage around the same backup: for a user who has lost the recovery key, on a device that can open
    /// the backup. Nothing is uploaded and nothing deleted, and other devices go on backing up.
    ///
    /// - Throws: A ``ResetError``: `access` with `AccessError.locked` if this device cannot open the backup, and others.
    func rotateStorage() async throws

    /// Deletes an old backup version, by its number. The current version is never deleted. Reads the new version back once
    /// more if it has changed since it was proved, which may take as long as a download; cancelling the task ends that, and
    /// nothing is deleted then.
    ///
    /// - Parameters:
    ///   - version: The number of the version.
    ///   - losses: Losses that the user has accepted.
    /// - Throws: A ``ResetError``: `notProved` while the reset has not completed, `losesKeys` if keys would be lost that
    ///   `losses` does not name, and others.
    func deleteVersion(_ version: String, accepting losses: [KeyLoss]) async throws

    /// Turns backups off: writes the preference first (MSC4287), then deletes every backup version of the account. The vault
    /// keeps every key.
    ///
    /// - Parameter losses: Losses that the user has accepted.
    /// - Throws: A ``ResetError``: `losesKeys` if keys would be lost that `losses` does not name, and others. Nothing was
    ///   changed after `losesKeys`, unless they are in an older version that came to light when a newer one was deleted.
    func turnOff(accepting losses: [KeyLoss]) async throws
}

extension KeyBackupResetProtocol {
    /// Begins to move the backup to a new key, if no key is lost: see ``moveBackup(for:accepting:)``.
    public func moveBackup(for cause: ResetCause) async throws { try await moveBackup(for: cause, accepting: []) }

    /// Takes the next steps of the reset without a limit of time: see ``runReset(budget:)``.
    @discardableResult
    public func runReset() async -> ResetReport { await runReset(budget: nil) }

    /// Deletes an old backup version, if no key is lost: see ``deleteVersion(_:accepting:)``.
    public func deleteVersion(_ version: String) async throws { try await deleteVersion(version, accepting: []) }

    /// Turns backups off, if no key is lost: see ``turnOff(accepting:)``.
    public func turnOff() async throws { try await turnOff(accepting: []) }
}
