package io.keyferry

import kotlin.time.Duration
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow

/** The reset over the generated client. */
internal class ResetCalls(
    private val reset: BackupReset,
    private val download: KeyDownload,
    private val callbacks: HostCallbacks,
    private val runs: Runs,
) : BackupResetApi {
    override val resetProgress: StateFlow<ResetProgress?> = callbacks.resetProgress.asStateFlow()

    override suspend fun prepareReset(cause: ResetCause): ResetReadiness = reset.prepareReset(cause)

    override suspend fun createBackup(): Unit = reset.createBackup().also { showProgress() }

    override suspend fun moveBackup(cause: ResetCause, accepted: List<KeyLoss>): Unit =
        reset.moveBackup(cause, accepted).also { showProgress() }

    override suspend fun runReset(budget: Duration?): ResetReport {
        val report = runs.run(ResetReport::holder) { callbacks.runs.duringReset { reset.run(budget.toRunBudget()) } }
        report.status?.let { callbacks.resetProgress.value = it.toProgress() }
        // A pause can close the vault, so it is not read then.
        if (report.outcome !is ResetOutcome.Paused) callbacks.runs.follow(download)
        return report
    }

    override suspend fun cancelReset(): Unit = reset.cancel().also { showProgress() }

    override suspend fun resetStatus(): ResetStatus? = reset.status()

    override suspend fun rotateStorage(): Unit = reset.rotateStorage()

    override suspend fun deleteVersion(version: String, accepted: List<KeyLoss>): Unit =
        runs.protect { reset.deleteVersion(version, accepted) }.also { callbacks.runs.follow(download) }

    override suspend fun turnOff(accepted: List<KeyLoss>) {
        reset.turnOff(accepted)
        showProgress()
        callbacks.runs.follow(download)
    }

    /** Shows what the vault says between runs. Of a vault that cannot be read, the call that follows tells. */
    suspend fun showProgress() {
        try {
            callbacks.resetProgress.value = reset.status()?.toProgress()
        } catch (_: ResetException) {
            return
        }
    }
}

private fun ResetStatus.toProgress() = ResetProgress(step, sent, total, stopped)
