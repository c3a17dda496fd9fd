package io.keyferry

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update

/**
 * Keeps the state of the download: from the runs of this process, and from the progress that they report. A run of a
 * reset is one, too, because it downloads.
 */
internal class StateOfRuns(nothingYet: DownloadProgress) {
    private val progressFlow = MutableStateFlow(nothingYet)
    private val stateFlow = MutableStateFlow<KeyBackupState>(KeyBackupState.Idle(nothingYet))

    /** Runs that are under way. Also serves as the lock of both flows. */
    private val underWay = mutableSetOf<Any>()

    /** The state that the last of them has left. Calls that found another run at work do not count. */
    private var last: ((DownloadProgress) -> KeyBackupState)? = null

    val progress: StateFlow<DownloadProgress> = progressFlow.asStateFlow()
    val state: StateFlow<KeyBackupState> = stateFlow.asStateFlow()

    fun show(status: DownloadStatus) {
        progressFlow.value = status.toProgress()
        stateFlow.value = KeyBackupState.of(status)
    }

    fun show(progress: DownloadProgress): Unit = synchronized(underWay) {
        progressFlow.value = progress
        stateFlow.update { it.with(progress) }
    }

    /** Takes over what the vault says between runs, unless that is less than what the last run has found out. */
    fun follow(status: DownloadStatus): Unit = synchronized(underWay) {
        if (underWay.isNotEmpty()) return
        progressFlow.value = status.toProgress()
        val now = KeyBackupState.of(status)
        stateFlow.update { before ->
            if (now is KeyBackupState.Idle && before.isFoundByRun) before.with(now.progress) else now
        }
    }

    /** Takes over what the vault says. Of a vault that cannot be read, the call that follows tells. */
    suspend fun follow(download: KeyDownload) {
        try {
            follow(download.status())
        } catch (_: AccessException) {
            return
        }
    }

    suspend fun during(work: suspend () -> RunReport): RunReport = during(work) { report ->
        if (report.holder != null) null
        else { progress -> KeyBackupState.after(report.outcome, report.everyKeyIsHere, progress) }
    }

    suspend fun duringReset(work: suspend () -> ResetReport): ResetReport = during(work) { report ->
        if (report.holder != null) null else { progress -> KeyBackupState.after(report.outcome, progress) }
    }

    /** Does [work]. [after] returns the state that its result leaves, or `null` if it has found another run at work. */
    private suspend fun <T> during(work: suspend () -> T, after: (T) -> ((DownloadProgress) -> KeyBackupState)?): T {
        val run = Any()
        synchronized(underWay) {
            underWay += run
            stateFlow.value = KeyBackupState.Working(progressFlow.value)
        }
        var left: ((DownloadProgress) -> KeyBackupState)? = null
        try {
            return work().also { left = after(it) }
        } finally {
            synchronized(underWay) {
                underWay -= run
                left?.let { last = it }
                if (underWay.isEmpty()) stateFlow.value = afterRuns()
            }
        }
    }

    private fun afterRuns(): KeyBackupState {
        val state = last?.invoke(progressFlow.value) ?: KeyBackupState.Idle(progressFlow.value)
        last = null
        return state
    }
}

/** Whether only a run can know this: the vault does not keep it. */
private val KeyBackupState.isFoundByRun: Boolean
    get() = this is KeyBackupState.Waiting || this is KeyBackupState.Failed || this is KeyBackupState.Short
