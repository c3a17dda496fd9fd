package io.keyferry

/** Returns how much of the whole the stage in the headline is done with, in [steps]. */
internal fun DownloadProgress.partOf(steps: Int): Int =
    if (total == 0uL) 0 else (minOf(done, total) * steps.toULong() / total).toInt()

/** Returns how much a reset has uploaded, in [steps] of the whole. */
internal fun ResetProgress.partOf(steps: Int): Int =
    if (total == 0uL) 0 else (minOf(sent, total) * steps.toULong() / total).toInt()

/** Whether a bar of what was uploaded says anything about the step. */
internal val ResetProgress.isUploading: Boolean get() = step == ResetStep.UPLOADING && total > 0uL

/** Whether a bar says anything about this state. */
internal val KeyBackupState.showsBar: Boolean
    get() = when (this) {
        is KeyBackupState.Working -> true
        is KeyBackupState.Idle, is KeyBackupState.Paused, is KeyBackupState.Waiting -> progress.total > 0uL
        is KeyBackupState.Stopped, is KeyBackupState.NeedsUnlock, is KeyBackupState.Short, is KeyBackupState.Done,
        is KeyBackupState.Failed,
        -> false
    }
