package io.keyferry

import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow

/** Events that are kept for a slow collector of arrivals or notices. */
private const val ANNOUNCEMENTS_KEPT = 64

/** Implements the host's callbacks by functions of the app, and puts the events of the library into flows. */
internal class HostCallbacks(
    private val accessToken: suspend (TokenRequest) -> String,
    private val roomsByPriority: suspend () -> List<String>,
    private val resolvePreferenceConflict: suspend (PreferenceConflict) -> PreferenceResolution,
    private val scheduleWakeUp: suspend (WakeUpPurpose, WakeUp?) -> Unit,
) : JobHost {
    val runs = StateOfRuns(NOTHING_YET)
    val resetProgress = MutableStateFlow<ResetProgress?>(null)
    val arrivals = MutableSharedFlow<List<ArrivedRoomKeys>>(
        extraBufferCapacity = ANNOUNCEMENTS_KEPT,
        onBufferOverflow = BufferOverflow.DROP_OLDEST,
    )

    /** Keeps the last notice, because the screen that shows it may not exist yet. */
    val preferenceNotices = MutableSharedFlow<PreferenceNotice>(
        replay = 1,
        extraBufferCapacity = ANNOUNCEMENTS_KEPT,
        onBufferOverflow = BufferOverflow.DROP_OLDEST,
    )

    /** Keeps the last notice, because the screen that shows it may not exist yet. */
    val conflictNotices = MutableSharedFlow<ConflictNotice>(
        replay = 1,
        extraBufferCapacity = ANNOUNCEMENTS_KEPT,
        onBufferOverflow = BufferOverflow.DROP_OLDEST,
    )

    /** Wake-ups that [KeyBackupApi.work] returns at its end instead of scheduling them. */
    val heldWakeUps = HeldWakeUps()

    override suspend fun accessToken(request: TokenRequest): String =
        answered(HostException::Failed) { accessToken.invoke(request) }

    override suspend fun roomsByPriority(): List<String> = answered(HostException::Failed) { roomsByPriority.invoke() }

    override suspend fun onProgress(progress: DownloadProgress) {
        runs.show(progress)
    }

    override suspend fun onResetProgress(progress: ResetProgress) {
        resetProgress.value = progress
    }

    override suspend fun onRoomKeysArrived(arrived: List<ArrivedRoomKeys>) {
        arrivals.tryEmit(arrived)
    }

    override suspend fun onConflicts(notice: ConflictNotice) {
        conflictNotices.tryEmit(notice)
    }

    override suspend fun onPreferenceChanged(notice: PreferenceNotice) {
        preferenceNotices.tryEmit(notice)
    }

    override suspend fun resolvePreferenceConflict(conflict: PreferenceConflict): PreferenceResolution =
        answered(HostException::Failed) { resolvePreferenceConflict.invoke(conflict) }

    override suspend fun scheduleWakeUp(purpose: WakeUpPurpose, wakeUp: WakeUp?) {
        if (heldWakeUps.hold(purpose, wakeUp)) return
        answered(HostException::Failed) { scheduleWakeUp.invoke(purpose, wakeUp) }
    }
}

private val NOTHING_YET = DownloadProgress(DownloadStage.RESTING)

/** Returns the progress to show before the first run of this process. */
internal fun DownloadStatus.toProgress(): DownloadProgress = DownloadProgress(
    stage = stage,
    total = summary.total,
    fetched = summary.fetched,
    opened = summary.opened,
    delivered = summary.delivered,
    failed = summary.failed,
    refused = summary.refused,
    conflicts = summary.conflicts,
    locked = summary.locked,
    rooms = summary.rooms,
)
