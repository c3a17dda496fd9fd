package org.matrix.keyferry

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.matrix.keyferry.ffi.BlockedReason
import org.matrix.keyferry.ffi.PauseCause
import org.matrix.keyferry.ffi.RunFailure
import org.matrix.keyferry.ffi.RunHolder
import org.matrix.keyferry.ffi.RunOutcome
import org.matrix.keyferry.ffi.WakeUp

internal class WorkOutcomeTest {
    private val wakeUp = WakeUp(
        notBeforeMs = 7u,
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
}
