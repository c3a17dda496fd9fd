package io.keyferry

import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 10_000

internal class BackgroundWorkTest {
    @TempDir
    lateinit var directory: Path

    private val wakeUps = WakeUps()

    @Test
    fun `a slice that runs out of budget returns a retry, and the last slice a success`() = slowly { homeserver ->
        homeserver.open(directory, scheduleWakeUp = wakeUps::take).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val before = wakeUps.count
            val retry = assertInstanceOf(WorkOutcome.Retry::class.java, backup.work(budget = 300.milliseconds))
            assertEquals(Duration.ZERO, retry.notBefore)
            assertTrue(retry.wakeUp?.needsNetwork == true)
            assertEquals(WorkOutcome.Success, backup.work())
            assertEquals(KEYS.toULong(), backup.status().summary.opened)
            assertEquals(before, wakeUps.count, "no wake-up is requested that would replace the worker")
        }
    }

    @Test
    fun `a stopped worker ends its work before its coroutine, and the next one completes`() = slowly { homeserver ->
        homeserver.open(directory, scheduleWakeUp = wakeUps::take).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val before = wakeUps.count
            val worker = async { backup.work() }
            backup.progress.first { it.fetched > 500u }
            worker.cancelAndJoin()
            assertTrue(worker.isCancelled)
            val status = backup.status()
            assertNull(status.running)
            backup.awaitQuiescent()
            assertTrue(status.summary.fetched in 500uL..<KEYS.toULong(), "${status.summary.fetched} keys")
            assertEquals(before, wakeUps.count, "the scheduler that stopped the worker runs it again")
            assertEquals(WorkOutcome.Success, backup.work())
            assertTrue(backup.status().fetchComplete)
        }
    }

    @Test
    fun `a worker that starts while a stopped one is ending completes`() = slowly { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val worker = async { backup.work() }
            backup.progress.first { it.stage != DownloadStage.RESTING }
            worker.cancel()
            assertEquals(WorkOutcome.Success, backup.work())
            assertTrue(backup.status().fetchComplete)
        }
    }

    @Test
    fun `a worker writes a pending preference`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            homeserver.setFaults("""[{"kind":"status","code":503,"endpoint":"put_account_data"}]""")
            homeserver.open(directory, scheduleWakeUp = wakeUps::take).use { backup ->
                backup.preference.setEnabled(true)
                val before = wakeUps.count
                val outcome = backup.work(WakeUpPurpose.PREFERENCE_WRITE, budget = 1.seconds)
                val retry = assertInstanceOf(WorkOutcome.Retry::class.java, outcome)
                assertTrue(checkNotNull(retry.notBefore) >= 30.seconds)
                homeserver.setFaults("[]")
                assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.PREFERENCE_WRITE))
                assertEquals("""{"enabled":true}""", homeserver.accountData("m.key_backup"))
                assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.PREFERENCE_WRITE), "nothing is pending")
                assertEquals(before, wakeUps.count)
            }
        }
    }

    private fun slowly(block: suspend CoroutineScope.(Homeserver) -> Unit) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "10", "--bytes-per-second", "4000000").use { block(it) }
    }
}
