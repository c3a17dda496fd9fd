package io.keyferry

import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class WakeUpTest {
    @TempDir
    lateinit var directory: Path

    private val wakeUp = WakeUp(Duration.ZERO, true, false, false, 0u)

    @Test
    fun `a wake-up is requested while keys are left, and cancelled when a run completes`() = test {
        Homeserver("--keys", "10000", "--rooms", "10", "--bytes-per-second", "4000000").use { homeserver ->
            val wakeUps = WakeUps()
            homeserver.open(directory, scheduleWakeUp = wakeUps::take).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                assertNotNull(wakeUps.last(WakeUpPurpose.DOWNLOAD))
                val report = backup.run(budget = 300.milliseconds)
                assertEquals(RunOutcome.OutOfBudget, report.outcome)
                assertNotNull(report.wakeUp)
                assertEquals(report.wakeUp, wakeUps.last(WakeUpPurpose.DOWNLOAD))
                assertCompleted(backup.run().outcome)
                assertNull(wakeUps.last(WakeUpPurpose.DOWNLOAD))
            }
        }
    }

    @Test
    fun `wake-ups are held back only while work of their purpose runs, and the last one is returned`() = test {
        val held = HeldWakeUps()
        assertFalse(held.hold(WakeUpPurpose.DOWNLOAD, wakeUp))
        val later = wakeUp.copy(notBefore = 5.milliseconds)
        val (result, last) = held.duringTurn {
            assertFalse(held.hold(WakeUpPurpose.PREFERENCE_WRITE, wakeUp))
            assertTrue(held.hold(WakeUpPurpose.DOWNLOAD, wakeUp) && held.hold(WakeUpPurpose.DOWNLOAD, later))
            "done"
        }
        assertEquals("done" to later, result to last)
        assertNull(held.duringTurn { held.hold(WakeUpPurpose.DOWNLOAD, null) }.second)
        thrownBy<IllegalStateException> { held.during<Unit>(WakeUpPurpose.DOWNLOAD) { error("on purpose") } }
        assertFalse(held.hold(WakeUpPurpose.DOWNLOAD, wakeUp))
    }

    @Test
    fun `work waits until earlier work of the same purpose has ended`() = test {
        val held = HeldWakeUps()
        val end = CompletableDeferred<Unit>()
        val first = async(start = CoroutineStart.UNDISPATCHED) { held.duringTurn { end.await() } }
        val second = async(start = CoroutineStart.UNDISPATCHED) { held.duringTurn { end.isCompleted } }
        end.complete(Unit)
        first.await()
        assertTrue(second.await().first)
    }

    private suspend fun <T> HeldWakeUps.duringTurn(work: suspend () -> T): Pair<T, WakeUp?> =
        checkNotNull(during(WakeUpPurpose.DOWNLOAD, work))
}
