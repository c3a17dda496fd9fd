package io.keyferry

import java.nio.file.Path
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 10_000

internal class CancellationTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `a cancelled run ends before its coroutine does, and the next run completes`() = slowly { homeserver ->
        val sink = RecordingSink(pauseMs = 20)
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val run = async { runCatching { backup.run() } }
            backup.progress.first { it.delivered > 500u }
            run.cancelAndJoin()
            val status = backup.status()
            assertEquals(DownloadStage.RESTING, status.stage)
            assertNull(status.running)
            backup.awaitQuiescent()
            val before = status.summary.delivered
            assertTrue(before in 500uL..<KEYS.toULong(), "$before keys")
            assertCompleted(backup.run().outcome)
            assertEquals(KEYS, sink.names.toSet().size)
            // Only the batch that was under way may be delivered twice.
            assertTrue(sink.keys.size <= KEYS + 1_000, "${sink.keys.size} keys")
        }
    }

    @Test
    fun `a run can be cancelled at any moment, and passes the cancellation on`() = slowly { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            for (wait in listOf(0, 1, 5, 20, 80)) {
                val run = async { backup.run() }
                delay(wait.milliseconds)
                run.cancel()
                thrownBy<CancellationException> { run.await() }
            }
            val run = launch(start = CoroutineStart.UNDISPATCHED) { backup.run() }
            val second = assertInstanceOf(RunOutcome.AlreadyRunning::class.java, backup.run().outcome)
            assertTrue(second.by.isThisProcess)
            run.cancelAndJoin()
            assertCompleted(backup.run().outcome)
        }
    }

    @Test
    fun `cancelling a refused run does not affect the active run`() = slowly { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val atWork = async { backup.run() }
            backup.progress.first { it.fetched > 500u }
            repeat(3) {
                val refused = launch {
                    cancel()
                    backup.run()
                }
                // It must end before the active run does.
                withTimeout(1.seconds) { refused.join() }
            }
            assertCompleted(atWork.await().outcome)
        }
    }

    @Test
    fun `the active run can be cancelled while other runs are requested`() = slowly { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val atWork = async { backup.run() }
            backup.progress.first { it.fetched > 500u }
            val others = List(20) { async { backup.run().outcome } }
            withTimeout(1.seconds) { atWork.cancelAndJoin() }
            others.forEach { it.cancelAndJoin() }
            assertCompleted(backup.run().outcome)
        }
    }

    @Test
    fun `pause, budget and close make a run return`() = slowly { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertEquals(RunOutcome.OutOfBudget, backup.run(budget = 300.milliseconds).outcome)
            homeserver.setFaults("""[{"kind":"silence"}]""")
            val paused = async { backup.run() }
            backup.progress.first { it.stage != DownloadStage.RESTING }
            backup.pause()
            assertEquals(RunOutcome.Paused(listOf(PauseCause.USER)), paused.await().outcome)
            backup.resume()
            val closed = async(start = CoroutineStart.UNDISPATCHED) { backup.run() }
            backup.close()
            assertEquals(RunOutcome.Paused(emptyList()), closed.await().outcome)
        }
    }

    private fun slowly(block: suspend CoroutineScope.(Homeserver) -> Unit) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "10", "--bytes-per-second", "4000000").use { block(it) }
    }
}
