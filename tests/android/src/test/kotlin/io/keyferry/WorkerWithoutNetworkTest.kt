package io.keyferry

import androidx.work.WorkInfo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class WorkerWithoutNetworkTest {
    @Test
    fun `a worker waits for the network, is stopped without it, goes on with it, and finishes`() = test {
        slowHomeserver().use { homeserver ->
            val backup = unlocked(homeserver)
            eventually("the wake-up is scheduled") { work(homeserver.userId).any { it.state == WorkInfo.State.ENQUEUED } }
            assertEquals(0uL, backup.status().summary.fetched)

            val request = work(homeserver.userId).single { !it.state.isFinished }.id
            KeyBackupWork.whileBeginning(WorkOrder(homeserver.userId, WakeUpPurpose.DOWNLOAD)) {
                backup.pause(PauseCause.THERMAL)
                backup.resume(PauseCause.THERMAL)
            }
            assertEquals(
                "a wake-up that opening asks for does not replace the worker that opens",
                listOf(request),
                work(homeserver.userId).filter { !it.state.isFinished }.map { it.id },
            )

            connect()
            eventually("keys arrive") { backup.progress.value.fetched > 500uL }
            assertEquals(WorkInfo.State.RUNNING, work(homeserver.userId).last().state)

            disconnect()
            eventually("the worker is stopped") { work(homeserver.userId).all { it.state == WorkInfo.State.ENQUEUED } }
            eventually("the run has ended") { backup.status().running == null }
            // Until then, a wake-up counts as one of the worker, which WorkManager runs again by a job that no test starts.
            eventually("the worker's time is over") { PauseCause.IN_BACKGROUND in backup.status().causes }
            val before = backup.status().summary.fetched
            assertTrue("$before keys", before < SLOW_KEYS.toULong())

            connect()
            eventually("every key is here") { backup.status().summary.opened == SLOW_KEYS.toULong() }
            eventually("nothing is left to do") { work(homeserver.userId).all { it.state.isFinished } }
        }
    }
}
