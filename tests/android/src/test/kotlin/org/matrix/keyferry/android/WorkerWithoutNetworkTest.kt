package org.matrix.keyferry.android

import androidx.work.WorkInfo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.matrix.keyferry.ffi.PauseCause
import org.matrix.keyferry.ffi.WakeUpPurpose
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class WorkerWithoutNetworkTest {
    @Test
    fun `a worker waits for the network, is stopped without it, goes on with it, and finishes`() = test {
        slowHomeserver().use { homeserver ->
            org.matrix.keyferry.ffi.initLogging(org.matrix.keyferry.ffi.LogLevel.DEBUG)
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
            val before = backup.status().summary.fetched
            assertTrue("$before keys", before < SLOW_KEYS.toULong())

            println("DBG before connect " + backup.status() + backup.state.value)
            connect()
            var last = 0L
            eventually("every key is here") {
                val now = System.currentTimeMillis() / 2000
                if (now != last) println("DBG " + backup.status().causes + backup.state.value + work(homeserver.userId))
                last = now
                backup.status().summary.opened == SLOW_KEYS.toULong() }
            eventually("nothing is left to do") { work(homeserver.userId).all { it.state.isFinished } }
        }
    }
}
