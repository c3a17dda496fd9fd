package io.keyferry

import kotlin.time.Duration.Companion.milliseconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

internal class WorkOutcomeTest {
    private val wakeUp = WakeUp(
        notBefore = 7.milliseconds,
        needsNetwork = true,
        needsUnmetered = false,
        needsCharging = false,
        expectedBytes = 1_000u,
    )
    private val running = RunOutcome.AlreadyRunning(RunHolder("app", 1u, true, 0u))

    @Test
    fun `an outcome with a wake-up is a retry`() {
        val outcomes = listOf(
            RunOutcome.OutOfBudget,
            RunOutcome.Blocked(BlockedReason.Offline, null),
            RunOutcome.Paused(listOf(PauseCause.TIME_EXPIRING)),
            RunOutcome.Failed(RunFailure.DiskFull),
            // New work arrived while the run was ending.
            WHOLE,
            running,
        )
        for (outcome in outcomes) assertEquals(WorkOutcome.Retry(wakeUp), WorkOutcome.after(outcome, wakeUp), "$outcome")
    }

    @Test
    fun `an outcome without a wake-up is a success, a failure, or a retry without a time`() {
        val done = listOf(
            WHOLE,
            RunOutcome.Short(emptyList()),
            RunOutcome.NeedsUnlock(listOf("1")),
            RunOutcome.Stopped,
            RunOutcome.Paused(listOf(PauseCause.USER)),
            RunOutcome.Paused(emptyList()),
            running,
            RunOutcome.Failed(RunFailure.Overtaken),
        )
        for (outcome in done) assertEquals(WorkOutcome.Success, WorkOutcome.after(outcome, null), "$outcome")
        val reasons = listOf(
            RunFailure.NoBackup,
            RunFailure.UnsupportedAlgorithm,
            RunFailure.NotSignedIn(true),
            RunFailure.VaultDamaged,
        )
        for (reason in reasons) {
            assertEquals(WorkOutcome.Failure(reason), WorkOutcome.after(RunOutcome.Failed(reason), null))
        }
        // The client was shut down before it could request a wake-up.
        for (outcome in listOf(RunOutcome.OutOfBudget, RunOutcome.Blocked(BlockedReason.Offline, null))) {
            val retry = WorkOutcome.after(outcome, null) as WorkOutcome.Retry
            assertNull(retry.wakeUp)
            assertNull(retry.notBefore)
        }
    }

    @Test
    fun `a reset or an upload that waits for somebody is a success, and one that was cut a retry`() {
        val resets = listOf(
            ResetOutcome.Completed,
            ResetOutcome.NothingToDo,
            ResetOutcome.Halted(ResetStop.OVERTAKEN),
            ResetOutcome.CryptoRefuses("not trusted"),
            ResetOutcome.NeedsUnlock(listOf("1")),
            ResetOutcome.Failed(RunFailure.Overtaken),
        )
        for (outcome in resets) assertEquals(WorkOutcome.Success, WorkOutcome.after(outcome, null), "$outcome")
        val uploads = listOf(
            UploadOutcome.Completed,
            UploadOutcome.Hindered(UploadHindrance.OtherBackup),
            UploadOutcome.CryptoRefuses("not trusted"),
            UploadOutcome.Paused(listOf(PauseCause.USER)),
        )
        for (outcome in uploads) assertEquals(WorkOutcome.Success, WorkOutcome.after(outcome, null), "$outcome")
        val blocked = BlockedReason.CryptoUnavailable
        assertEquals(WorkOutcome.Retry(null), WorkOutcome.after(ResetOutcome.Blocked(blocked, null), null))
        assertEquals(WorkOutcome.Retry(wakeUp), WorkOutcome.after(UploadOutcome.Blocked(blocked, null), wakeUp))
        val failed = RunFailure.NoBackup
        assertEquals(WorkOutcome.Failure(failed), WorkOutcome.after(ResetOutcome.Failed(failed), null))
        assertEquals(WorkOutcome.Failure(failed), WorkOutcome.after(UploadOutcome.Failed(failed), null))
    }
}
