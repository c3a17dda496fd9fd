package io.keyferry

import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class DyingProcessTest {
    @Test
    fun `a process that dies is started again by WorkManager, and finishes`() = test {
        slowHomeserver().use { homeserver ->
            val backup = unlocked(homeserver)
            connect()
            eventually("keys arrive") { backup.progress.value.fetched > 500uL }

            killProcess(backup)
            val before = backup.progress.value.fetched
            assertTrue("$before keys", before < SLOW_KEYS.toULong())

            startWorkManager()
            eventually("the job is there again") { jobsOfWorkManager.isNotEmpty() }
            connect()
            RunningJob(jobsOfWorkManager.single(), network)
            eventually("a worker has opened the backup again") { OpenBackups.find(homeserver.userId) != null }
            val next = checkNotNull(OpenBackups.find(homeserver.userId))
            assertTrue(next !== backup)
            eventually("every key is here") { next.status().summary.opened == SLOW_KEYS.toULong() }
        }
    }
}
