package io.keyferry

import kotlin.time.Duration
import kotlinx.coroutines.flow.StateFlow

/**
 * Resets the backup without losing a key: creates one, moves it to a new key, deletes old versions, turns backups off.
 * A part of [KeyBackupApi]. Needs the app's crypto: pass `secretKeeper`, `backupSigner` and `roomKeySource` to
 * [KeyBackup.open].
 *
 * Nothing here happens by itself. A reset is kept in the vault: after [moveBackup] or [createBackup], call [runReset]
 * at every opportunity until it has completed. The old version stays on the server until [deleteVersion] is called.
 *
 * ```
 * val readiness = backup.prepareReset(ResetCause.KEY_COMPROMISED) // what it costs, and what would be lost
 * backup.moveBackup(ResetCause.KEY_COMPROMISED)
 * val report = backup.runReset()                                  // again and again, until it has completed
 * report.status?.oldVersion?.let { backup.deleteVersion(it) }
 * ```
 */
public interface BackupResetApi {
    /**
     * How far the reset is: at first what the vault holds, then the figures of a run under way, at most ten times a
     * second and at every step, and why it has stopped (`ResetProgress.stopped`). `null` if there was no reset. While
     * keys are read back, [KeyBackupApi.progress] has the details.
     */
    public val resetProgress: StateFlow<ResetProgress?>

    /**
     * Returns what a reset would mean: which way is right, what would be lost, what it costs. Makes one small request
     * and changes nothing; without a network it answers from what the vault knows.
     *
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun prepareReset(cause: ResetCause): ResetReadiness

    /**
     * Begins to create a backup where the account has none. First makes sure that the preference says that backups are
     * on (MSC4287), and requests a wake-up. [runReset] does the rest: it keeps the new key in secret storage, creates
     * the version, gives its key to the app's crypto, and uploads every key that this device has.
     *
     * @throws ResetException if it does not begin, such as `BackupExists`
     */
    public suspend fun createBackup()

    /**
     * Begins to move the backup to a new key. The vault must have every key of the old backup. First makes sure that
     * the preference says that backups are on, and requests a wake-up. [runReset] does the rest. The old version is not
     * changed, and stays until [deleteVersion] is called.
     *
     * After a reset has stopped ([ResetStatus.stopped]) this begins again, with the same new key.
     *
     * @param accepted losses that the user accepts, as `LosesKeys` or [prepareReset] named them
     * @throws ResetException if it does not begin; `LosesKeys` says which keys the vault lacks
     */
    public suspend fun moveBackup(cause: ResetCause, accepted: List<KeyLoss> = emptyList())

    /**
     * Takes the next steps of the reset until it has completed, [budget] is used up, or something is in the way; the
     * report says which. Nothing is lost, and the next run continues from there. In a worker, call [KeyBackupApi.work]
     * with `WakeUpPurpose.RESET` instead.
     *
     * Shares its pause causes with the download, and downloads, too: only one of the two works at a time, and a further
     * run returns [ResetOutcome.AlreadyRunning] at once.
     *
     * Throws nothing but `CancellationException`. Cancelling the coroutine ends the run and waits for its end, as
     * [KeyBackupApi.run] does.
     *
     * @param budget time after which the run returns by itself; creating the version needs 60 seconds. `null`: no limit
     */
    public suspend fun runReset(budget: Duration? = null): ResetReport

    /**
     * Gives a reset up that has changed nothing on the server yet.
     *
     * @throws ResetException `NotUnderWay` if there is none, or if the new version may exist
     *   already: then let it complete
     */
    public suspend fun cancelReset()

    /**
     * Returns how far the reset under way has come, or the last one; `null` if there was none. Uses no network.
     *
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun resetStatus(): ResetStatus?

    /**
     * Puts new secret storage around the same backup: for a user who has lost the recovery key, on a device that can
     * open the backup. Nothing is uploaded and nothing deleted, and other devices go on backing up.
     *
     * @throws ResetException `Access` with [AccessException.Locked] if this device cannot open the backup, and others
     */
    public suspend fun rotateStorage()

    /**
     * Deletes an old backup version, by its number. The current version is never deleted. Reads the new version back
     * once more if it has changed since it was proved, which may take as long as a download.
     *
     * @param accepted losses that the user accepts, as `LosesKeys` named them
     * @throws ResetException `NotProved` while the reset has not completed; `LosesKeys` if keys
     *   would be lost; and others
     */
    public suspend fun deleteVersion(version: String, accepted: List<KeyLoss> = emptyList())

    /**
     * Turns backups off: writes the preference first (MSC4287), then deletes every backup version of the account. The
     * vault keeps every key.
     *
     * @param accepted losses that the user accepts, as `LosesKeys` named them
     * @throws ResetException `LosesKeys` if keys would be lost: nothing was changed then,
     *   unless they are in an older version that came to light when a newer one was deleted; and others
     */
    public suspend fun turnOff(accepted: List<KeyLoss> = emptyList())
}
