package io.keyferry

import androidx.annotation.StringRes
import io.keyferry.android.R

/** What the user can do about a state, for a button. */
public enum class KeyBackupAction(
    /** The text of the button. */
    @param:StringRes @get:StringRes public val text: Int,
) {
    /** Call `backup.pause()`. */
    PAUSE(R.string.keyferry_action_pause),

    /** Call `backup.start()`, and `KeyBackupWork.startNow`; also for a reset that is under way. */
    RESUME(R.string.keyferry_action_resume),

    /** Ask for the recovery key, and call `backup.unlock`. */
    UNLOCK(R.string.keyferry_action_unlock),

    /** Call `KeyBackupWork.startNow`. */
    RETRY(R.string.keyferry_action_retry),
    ;

    public companion object {
        /** Returns what the user can do about [state], or `null` if there is nothing to do. */
        public fun of(state: KeyBackupState): KeyBackupAction? = when (state) {
            is KeyBackupState.Working -> PAUSE
            is KeyBackupState.Paused -> if (PauseCause.USER in state.causes) RESUME else null
            is KeyBackupState.Stopped -> RESUME
            is KeyBackupState.NeedsUnlock -> UNLOCK
            is KeyBackupState.Waiting -> RETRY
            is KeyBackupState.Failed -> if (canBeRetried(state.reason)) RETRY else null
            is KeyBackupState.Idle, is KeyBackupState.Short, is KeyBackupState.Done -> null
        }

        /** Whether another try can help, by itself or after the user has changed something. */
        private fun canBeRetried(reason: RunFailure): Boolean = when (reason) {
            is RunFailure.Tls, is RunFailure.DiskFull, is RunFailure.RefusedByServer, is RunFailure.BackupNotServed,
            is RunFailure.Overtaken, is RunFailure.Internal,
            -> true
            is RunFailure.NoBackup, is RunFailure.UnsupportedAlgorithm, is RunFailure.NotSignedIn,
            is RunFailure.VaultGone, is RunFailure.VaultDamaged,
            -> false
        }
    }
}
