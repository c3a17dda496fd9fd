package io.keyferry

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.combine

/** What an entry weighs in an upload, in bytes. */
private const val BYTES_OF_A_KEY = 860uL

/** What the notification of a piece of work shows. */
internal class Shown(
    val state: KeyBackupState,
    /** How far the reset is; `null` if the work is none. */
    val reset: ResetProgress?,
) {
    val bytesDownloaded: Long get() = state.progress.bytesDownloaded.toLong()
    val bytesUploaded: Long get() = ((reset?.sent ?: 0uL) * BYTES_OF_A_KEY).toLong()
}

/** Returns what the notification of [order] shows, as it changes. */
internal fun KeyBackup.shownFor(order: WorkOrder): Flow<Shown> =
    state.combine(resetProgress) { _, _ -> nowShownFor(order) }

internal fun KeyBackup.nowShownFor(order: WorkOrder): Shown =
    Shown(state.value, resetProgress.value.takeIf { order.purpose == WakeUpPurpose.RESET })
