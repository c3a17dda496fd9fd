package org.matrix.keyferry

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.update
import org.matrix.keyferry.ffi.DownloadProgress
import org.matrix.keyferry.ffi.DownloadStatus
import org.matrix.keyferry.ffi.RunOutcome
import org.matrix.keyferry.ffi.RunReport

/** Keeps the state of the download: from the runs of this process, and from the progress that they report. */
internal class StateOfRuns(nothingYet: DownloadProgress) {
    private val progressFlow = MutableStateFlow(nothingYet)
    private val stateFlow = MutableStateFlow<KeyBackupState>(KeyBackupState.Idle(nothingYet))

    /** Runs that are under way. Also serves as the lock of both flows. */
    private val underWay = mutableSetOf<Any>()

    /** How the last of them has ended. Calls that found another run at work do not count. */
    private var last: RunReport? = null

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

    suspend fun during(run: Any, work: suspend () -> RunReport): RunReport {
        synchronized(underWay) {
            underWay += run
            stateFlow.value = KeyBackupState.Working(progressFlow.value)
        }
        var report: RunReport? = null
        try {
            return work().also { report = it }
        } finally {
            synchronized(underWay) {
                underWay -= run
                report?.takeIf { it.outcome !is RunOutcome.AlreadyRunning }?.let { last = it }
                if (underWay.isEmpty()) stateFlow.value = afterRuns()
            }
        }
    }

    /** Waits until no run of this process is under way. Returns `false` if none was. */
    suspend fun awaitEnd(): Boolean {
        val isUnderWay = synchronized(underWay) { underWay.isNotEmpty() }
        if (isUnderWay) stateFlow.first { it !is KeyBackupState.Working }
        return isUnderWay
    }

    private fun afterRuns(): KeyBackupState {
        val report = last ?: return KeyBackupState.Idle(progressFlow.value)
        last = null
        return KeyBackupState.after(report.outcome, report.everyKeyIsHere, progressFlow.value)
    }
}

/** Whether only a run can know this: the vault does not keep it. */
private val KeyBackupState.isFoundByRun: Boolean
    get() = this is KeyBackupState.Waiting || this is KeyBackupState.Failed || this is KeyBackupState.Short
