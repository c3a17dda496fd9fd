package io.keyferry

import android.content.res.Resources
import androidx.annotation.PluralsRes
import androidx.annotation.StringRes
import io.keyferry.android.R
import java.text.NumberFormat
import kotlin.time.Duration

private const val MINUTES_OF_AN_HOUR = 60uL

/**
 * Returns the headline of a state, such as "Downloading message keys", in the language of these resources. An app
 * replaces a text by defining a string of the same name.
 */
public fun Resources.keyBackupTitle(state: KeyBackupState): String = getString(
    when (state) {
        is KeyBackupState.Idle -> R.string.keyferry_idle
        is KeyBackupState.Working -> titleOf(state.progress)
        is KeyBackupState.Paused -> R.string.keyferry_paused
        is KeyBackupState.Stopped -> R.string.keyferry_stopped
        is KeyBackupState.NeedsUnlock -> R.string.keyferry_needs_unlock
        is KeyBackupState.Waiting -> R.string.keyferry_waiting
        is KeyBackupState.Short -> R.string.keyferry_short
        is KeyBackupState.Done ->
            if (state.everyKeyIsHere) R.string.keyferry_done else R.string.keyferry_done_with_gaps
        is KeyBackupState.Failed -> R.string.keyferry_failed
    },
)

/**
 * Returns the line below the headline: how far the download is, what it waits for, or what the user can do. In the
 * language of these resources.
 */
public fun Resources.keyBackupDetail(state: KeyBackupState): String = when (state) {
    is KeyBackupState.Idle -> idle(state.progress)
    is KeyBackupState.Working -> working(state.progress)
    is KeyBackupState.Paused -> getString(state.causes.minBy { PRIORITY.indexOf(it) }.text)
    is KeyBackupState.Stopped -> getString(R.string.keyferry_stopped_detail)
    is KeyBackupState.NeedsUnlock -> getString(R.string.keyferry_needs_unlock_detail)
    is KeyBackupState.Waiting -> blocked(state.reason)
    is KeyBackupState.Short -> count(R.plurals.keyferry_keys_missing, state.missing)
    is KeyBackupState.Done ->
        if (state.everyKeyIsHere) count(R.plurals.keyferry_keys, state.progress.done)
        else getString(R.string.keyferry_done_with_gaps_detail)
    is KeyBackupState.Failed -> getString(state.reason.text)
}

/** Returns how far a reset is, or why it has stopped, in the language of these resources. */
public fun Resources.keyBackupResetDetail(progress: ResetProgress): String =
    progress.stopped?.let { getString(it.text) } ?: resetStep(progress)

/** Keys that the stage in the headline is done with; between runs, those that can be read, or else those here. */
internal val DownloadProgress.done: ULong
    get() = when (stage) {
        DownloadStage.PREPARING, DownloadStage.FETCHING, DownloadStage.WAITING_TO_RETRY -> fetched
        DownloadStage.OPENING, DownloadStage.DELIVERING -> opened + failed
        DownloadStage.RESTING -> if (opened > 0uL) opened + failed else fetched
    }

@StringRes
private fun titleOf(progress: DownloadProgress): Int = when (progress.stage) {
    DownloadStage.PREPARING -> R.string.keyferry_preparing
    // Before the first figures of a run, and after its last.
    DownloadStage.RESTING -> with(progress) {
        if (total > 0uL && fetched >= total) R.string.keyferry_delivering else R.string.keyferry_preparing
    }
    DownloadStage.FETCHING -> R.string.keyferry_fetching
    DownloadStage.WAITING_TO_RETRY -> R.string.keyferry_waiting_to_retry
    DownloadStage.OPENING -> R.string.keyferry_opening
    DownloadStage.DELIVERING -> R.string.keyferry_delivering
}

/** The causes that a user can do something about come first: only one is shown. */
private val PRIORITY = listOf(
    PauseCause.USER,
    PauseCause.DISK_LIMIT,
    PauseCause.OFFLINE,
    PauseCause.METERED_NETWORK,
    PauseCause.LOW_POWER,
    PauseCause.NOT_CHARGING,
    PauseCause.THERMAL,
    PauseCause.STORAGE_LOCKED,
    PauseCause.IN_BACKGROUND,
    PauseCause.TIME_EXPIRING,
)

@get:StringRes
private val PauseCause.text: Int
    get() = when (this) {
        PauseCause.USER -> R.string.keyferry_cause_user
        PauseCause.IN_BACKGROUND -> R.string.keyferry_cause_in_background
        PauseCause.TIME_EXPIRING -> R.string.keyferry_cause_time_expiring
        PauseCause.LOW_POWER -> R.string.keyferry_cause_low_power
        PauseCause.THERMAL -> R.string.keyferry_cause_thermal
        PauseCause.METERED_NETWORK -> R.string.keyferry_cause_metered_network
        PauseCause.OFFLINE -> R.string.keyferry_cause_offline
        PauseCause.NOT_CHARGING -> R.string.keyferry_cause_not_charging
        PauseCause.STORAGE_LOCKED -> R.string.keyferry_cause_storage_locked
        PauseCause.DISK_LIMIT -> R.string.keyferry_cause_disk_limit
    }

private fun Resources.resetStep(progress: ResetProgress): String = when (progress.step) {
    ResetStep.BEGUN, ResetStep.SECRETS_KEPT, ResetStep.CREATED, ResetStep.PUBLISHED ->
        getString(R.string.keyferry_reset_preparing)
    ResetStep.UPLOADING -> with(progress) {
        val (sent, all) = number(minOf(sent, total)) to number(total)
        getQuantityString(R.plurals.keyferry_reset_uploaded, total.toQuantity(), sent, all)
    }
    ResetStep.ADOPTED, ResetStep.READING_BACK, ResetStep.PROVED -> getString(R.string.keyferry_reset_checking)
    ResetStep.DONE -> getString(R.string.keyferry_reset_done)
}

@get:StringRes
internal val ResetStop.text: Int
    get() = when (this) {
        ResetStop.OVERTAKEN, ResetStop.SECRET_STORAGE_CHANGED -> R.string.keyferry_error_reset_halted
        ResetStop.OLD_VERSION_STAYS -> R.string.keyferry_error_old_backup_stays
    }

private fun Resources.blocked(reason: BlockedReason): String = when (reason) {
    is BlockedReason.RoomsUnavailable -> count(R.plurals.keyferry_blocked_rooms, reason.rooms)
    is BlockedReason.Offline -> getString(R.string.keyferry_blocked_offline)
    is BlockedReason.RateLimited -> getString(R.string.keyferry_blocked_rate_limited)
    is BlockedReason.ServerFault -> getString(R.string.keyferry_blocked_server_fault)
    is BlockedReason.NoAccessToken -> getString(R.string.keyferry_blocked_no_token)
    is BlockedReason.NotTheHomeserver -> getString(R.string.keyferry_blocked_not_the_homeserver)
    is BlockedReason.BackupChanging -> getString(R.string.keyferry_blocked_backup_changing)
    is BlockedReason.WaitsForFile -> getString(R.string.keyferry_blocked_file)
    is BlockedReason.SinkUnavailable -> getString(R.string.keyferry_blocked_sink)
    is BlockedReason.CryptoUnavailable -> getString(R.string.keyferry_blocked_crypto)
    is BlockedReason.VaultBusy -> getString(R.string.keyferry_blocked_busy)
    is BlockedReason.VaultInaccessible -> getString(R.string.keyferry_blocked_inaccessible)
}

private fun Resources.idle(progress: DownloadProgress): String =
    if (progress.total == 0uL) getString(R.string.keyferry_not_started)
    else getString(R.string.keyferry_keys_go_on, keysOf(progress))

private fun Resources.working(progress: DownloadProgress): String {
    if (progress.total == 0uL) return ""
    val left = timeLeft(progress.timeLeft ?: return keysOf(progress))
    return getString(R.string.keyferry_keys_and_time, keysOf(progress), left)
}

private fun Resources.keysOf(progress: DownloadProgress): String =
    with(progress) {
        getQuantityString(R.plurals.keyferry_keys_of, total.toQuantity(), number(done), number(total))
    }

private fun Resources.timeLeft(left: Duration): String {
    val minutes = left.inWholeMinutes.toULong() + 1uL
    val (text, quantity) = if (minutes < 2uL * MINUTES_OF_AN_HOUR) R.plurals.keyferry_minutes_left to minutes
    else R.plurals.keyferry_hours_left to minutes / MINUTES_OF_AN_HOUR
    return getQuantityString(text, quantity.toQuantity(), quantity.toQuantity())
}

private fun Resources.count(@PluralsRes text: Int, number: ULong): String =
    getQuantityString(text, number.toQuantity(), number(number))

private fun Resources.number(number: ULong): String =
    NumberFormat.getIntegerInstance(configuration.locales[0]).format(number.toLong())

private fun ULong.toQuantity(): Int = coerceAtMost(Int.MAX_VALUE.toULong()).toInt()
