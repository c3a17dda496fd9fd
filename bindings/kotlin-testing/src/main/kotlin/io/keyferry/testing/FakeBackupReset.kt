package io.keyferry.testing

import io.keyferry.BackupResetApi
import io.keyferry.KeyLoss
import io.keyferry.ResetCause
import io.keyferry.ResetException
import io.keyferry.ResetOutcome
import io.keyferry.ResetProgress
import io.keyferry.ResetReadiness
import io.keyferry.ResetReport
import io.keyferry.ResetStatus
import io.keyferry.ResetStep
import io.keyferry.ResetStop
import io.keyferry.ResetWay
import io.keyferry.WakeUp
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow

/** The reset of a [FakeKeyBackup]: it answers what a test has set, and keeps how far the reset is. */
public class FakeBackupReset internal constructor(private val core: FakeCore) : BackupResetApi {
    /** What [prepareReset] answers. */
    public var readiness: ResetReadiness = ResetReadiness(ResetWay.MOVE, emptyList(), 0u, 0u, 0u, canKeepSecrets = true)

    /** What the next run shows, step by step. */
    public var steps: List<ResetStep> = ResetStep.entries

    /** How long each step stays before the next one. With the virtual time of a test dispatcher this takes no time. */
    public var stepTime: Duration = 100.milliseconds

    /** How the next run ends. */
    public var outcome: ResetOutcome = ResetOutcome.Completed

    /** The wake-up that a run asks for at its end. */
    public var wakeUp: WakeUp? = null

    /** How far the reset is, as [resetStatus] answers. [moveBackup], [createBackup] and runs change it. */
    public var status: ResetStatus? = null

    override val resetProgress: MutableStateFlow<ResetProgress?> = MutableStateFlow(null)

    override suspend fun prepareReset(cause: ResetCause): ResetReadiness = core.called("prepareReset") { readiness }

    override suspend fun createBackup(): Unit = core.called("createBackup") { begin(oldVersion = null) }

    override suspend fun moveBackup(cause: ResetCause, accepted: List<KeyLoss>): Unit = core.called("moveBackup") {
        refuse(accepted)
        begin(oldVersion = VERSION)
    }

    override suspend fun runReset(budget: Duration?): ResetReport = core.called("runReset") {
        if (!isUnderWay()) return@called ResetReport(ResetOutcome.NothingToDo, status, null)
        for (step in steps) {
            if (held() != null) break
            show(step)
            delay(stepTime)
        }
        val end = held() ?: outcome
        if (end is ResetOutcome.Halted) stop(end.why)
        ResetReport(end, status, wakeUp)
    }

    override suspend fun cancelReset(): Unit = core.called("cancelReset") {
        if (status?.canBeCancelled != true) throw ResetException.NotUnderWay()
        status = null
        resetProgress.value = null
    }

    override suspend fun resetStatus(): ResetStatus? = core.called("resetStatus") { status }

    override suspend fun rotateStorage(): Unit = core.called("rotateStorage") {}

    override suspend fun deleteVersion(version: String, accepted: List<KeyLoss>): Unit = core.called("deleteVersion") {
        if (status?.step != ResetStep.DONE) throw ResetException.NotProved()
        if (version == status?.newVersion) throw ResetException.CurrentVersion()
        refuse(accepted)
    }

    override suspend fun turnOff(accepted: List<KeyLoss>): Unit = core.called("turnOff") {
        refuse(accepted)
        status = null
        resetProgress.value = null
    }

    private fun held(): ResetOutcome? = core.held(ResetOutcome.Stopped, ResetOutcome::Paused)

    private fun isUnderWay(): Boolean = status?.run { step != ResetStep.DONE && stopped == null } == true

    private fun begin(oldVersion: String?) {
        if (isUnderWay()) throw ResetException.UnderWay()
        status = ResetStatus(
            step = ResetStep.BEGUN,
            stopped = null,
            canBeCancelled = true,
            oldVersion = oldVersion,
            newVersion = null,
            newPublicKey = "",
            sent = 0u,
            total = readiness.keys,
            unreplaced = 0u,
        )
        show(ResetStep.BEGUN)
    }

    private fun show(step: ResetStep) {
        val isSent = step >= ResetStep.PROVED
        status = status?.run {
            copy(
                step = step,
                canBeCancelled = step < ResetStep.CREATED,
                newVersion = NEW_VERSION.takeIf { step >= ResetStep.CREATED },
                sent = if (isSent) total else sent,
            )
        }
        showStatus()
    }

    /** Stops the reset, as another client does. */
    private fun stop(why: ResetStop) {
        status = status?.copy(stopped = why)
        showStatus()
    }

    private fun showStatus() {
        resetProgress.value = status?.run { ResetProgress(step, sent, total, stopped) }
    }

    private fun refuse(accepted: List<KeyLoss>) {
        val losses = readiness.losses - accepted.toSet()
        if (losses.isNotEmpty()) throw ResetException.LosesKeys(losses)
    }
}

private const val NEW_VERSION = "2"
