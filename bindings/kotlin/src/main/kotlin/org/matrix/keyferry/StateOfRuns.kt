package org.matrix.keyferry

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
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
                if (underWay.isEmpty()) stateFlow.value = after(report)
            }
        }
    }

    private fun after(report: RunReport?): KeyBackupState = when (val outcome = report?.outcome) {
        null, is RunOutcome.AlreadyRunning -> KeyBackupState.Idle(progressFlow.value)
        else -> KeyBackupState.after(outcome, report.everyKeyIsHere, progressFlow.value)
    }
}
