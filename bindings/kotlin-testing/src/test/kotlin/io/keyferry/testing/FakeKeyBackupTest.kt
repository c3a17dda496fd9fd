package io.keyferry.testing

import io.keyferry.BlockedReason
import io.keyferry.DownloadStage
import io.keyferry.KeyBackupApi
import io.keyferry.KeyLoss
import io.keyferry.LossKind
import io.keyferry.PauseCause
import io.keyferry.PreferenceValue
import io.keyferry.PreferenceWrite
import io.keyferry.ResetCause
import io.keyferry.ResetException
import io.keyferry.ResetOutcome
import io.keyferry.ResetStep
import io.keyferry.ResetStop
import io.keyferry.RunFailure
import io.keyferry.RunOutcome
import io.keyferry.AccessException
import io.keyferry.UnlockException
import io.keyferry.UnlockSecret
import io.keyferry.UploadHindrance
import io.keyferry.UploadOutcome
import io.keyferry.WakeUpPurpose
import io.keyferry.WorkOutcome
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

internal class FakeKeyBackupTest {
    @Test
    fun `runs follow the script, and the last one is repeated`() = runBlocking {
        val fails = FakeRun(emptyList(), RunOutcome.Failed(RunFailure.Tls))
        val backup: KeyBackupApi = FakeKeyBackup(fails, FakeRun.ofKeys(100u).copy(stepTime = 1.milliseconds))
        assertEquals(RunOutcome.Failed(RunFailure.Tls), backup.run().outcome)
        repeat(2) {
            val report = backup.run()
            assertTrue(report.everyKeyIsHere)
            assertEquals(100uL, report.summary.delivered)
            assertEquals(DownloadStage.RESTING, backup.progress.value.stage)
        }
    }

    @Test
    fun `a pause ends a run under way, and the next run does it again`() = runBlocking {
        val backup = FakeKeyBackup(FakeRun.ofKeys(100u).copy(stepTime = 20.milliseconds), FakeRun(emptyList()))
        val run = async { backup.run() }
        backup.progress.first { it.fetched > 0uL }
        backup.pause()
        assertEquals(RunOutcome.Paused(listOf(PauseCause.USER)), run.await().outcome)
        backup.resume()
        assertEquals(100uL, backup.run().summary.delivered)
    }

    @Test
    fun `only the recovery key unlocks`() = runBlocking {
        val backup = FakeKeyBackup(recoveryKey = "right")
        val wrong = runCatching { backup.unlock(UnlockSecret.RecoveryKey("wrong")) }.exceptionOrNull()
        assertInstanceOf(UnlockException.WrongKey::class.java, wrong)
        backup.unlock(UnlockSecret.RecoveryKey("right"))
        assertTrue(backup.status().unlocked)
    }

    @Test
    fun `failures are thrown in their order, once each`() = runBlocking {
        val backup = FakeKeyBackup()
        backup.failNext(AccessException.VaultInaccessible())
        assertInstanceOf(AccessException.VaultInaccessible::class.java, runCatching { backup.status() }.exceptionOrNull())
        assertTrue(backup.status().causes.isEmpty())
        assertEquals(listOf("status", "status"), backup.calls)
    }

    @Test
    fun `a preference that could not be written stays pending`() = runBlocking {
        val backup = FakeKeyBackup()
        backup.preference.write = PreferenceWrite.Pending(io.keyferry.PendingReason.Unreachable, null)
        backup.preference.setEnabled(true)
        assertEquals(PreferenceValue.UNDETERMINED, backup.preference.value)
        backup.preference.write = PreferenceWrite.Written
        assertEquals(PreferenceWrite.Written, backup.preference.flush())
        assertEquals(PreferenceValue.ENABLED, backup.preference.value)
        assertEquals(null, backup.preference.pending())
    }

    @Test
    fun `a reset goes through its steps, and the old version can be deleted then`() = runBlocking {
        val backup = FakeKeyBackup()
        backup.reset.stepTime = 1.milliseconds
        assertEquals(ResetOutcome.NothingToDo, backup.runReset().outcome)
        backup.moveBackup(ResetCause.KEY_COMPROMISED)
        assertInstanceOf(
            ResetException.NotProved::class.java,
            runCatching { backup.deleteVersion("1") }.exceptionOrNull(),
        )
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.RESET))
        assertEquals(ResetStep.DONE, backup.resetProgress.value?.step)
        val status = checkNotNull(backup.resetStatus())
        assertEquals("1" to "2", status.oldVersion to status.newVersion)
        backup.deleteVersion("1")
        assertEquals("deleteVersion", backup.calls.last())
    }

    @Test
    fun `a reset ends as the test has said, and goes on`() = runBlocking {
        val backup = FakeKeyBackup()
        val loss = KeyLoss(LossKind.TRIMMED, 3u)
        backup.reset.readiness = backup.reset.readiness.copy(losses = listOf(loss))
        val refusal = runCatching { backup.moveBackup(ResetCause.BACKUP_DAMAGED) }.exceptionOrNull()
        assertEquals(listOf(loss), assertInstanceOf(ResetException.LosesKeys::class.java, refusal).losses)
        backup.moveBackup(ResetCause.BACKUP_DAMAGED, accepted = listOf(loss))
        backup.reset.stepTime = 1.milliseconds
        backup.reset.steps = listOf(ResetStep.SECRETS_KEPT)
        backup.reset.outcome = ResetOutcome.Blocked(BlockedReason.CryptoUnavailable, null)
        backup.pause()
        assertEquals(ResetOutcome.Paused(listOf(PauseCause.USER)), backup.runReset().outcome)
        backup.resume()
        assertEquals(backup.reset.outcome, backup.runReset().outcome)
        assertEquals(true, backup.resetStatus()?.canBeCancelled)
        backup.cancelReset()
        assertEquals(null, backup.resetProgress.value)
    }

    @Test
    fun `a reset that is halted shows why until it begins again`() = runBlocking {
        val backup = FakeKeyBackup()
        backup.reset.stepTime = 1.milliseconds
        backup.reset.steps = listOf(ResetStep.SECRETS_KEPT)
        backup.reset.outcome = ResetOutcome.Halted(ResetStop.OVERTAKEN)
        backup.moveBackup(ResetCause.BACKUP_DAMAGED)
        assertEquals(ResetStop.OVERTAKEN, backup.runReset().status?.stopped)
        assertEquals(ResetStop.OVERTAKEN, backup.resetProgress.value?.stopped)
        backup.moveBackup(ResetCause.BACKUP_DAMAGED)
        assertEquals(null, backup.resetProgress.value?.stopped)
    }

    @Test
    fun `keys wait until they are uploaded`() = runBlocking {
        val backup = FakeKeyBackup()
        backup.upload.waiting = 3u
        backup.upload.outcome = UploadOutcome.Hindered(UploadHindrance.NoBackup)
        assertEquals(0uL, backup.flushUploads().uploaded)
        assertEquals(3uL, backup.pendingUpload().keys)
        backup.upload.outcome = UploadOutcome.Completed
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.UPLOAD))
        assertEquals(3uL, backup.uploadStatus().uploaded)
        assertEquals(0uL, backup.pendingUpload().keys)
    }
}
