package io.keyferry

import android.app.Notification
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class ResetJobTest {
    @Test
    fun `a move that the user starts is a user-initiated job, and shows how far it is`() = test {
        slowHomeserver().use { homeserver ->
            val backup = downloaded(homeserver, SmallCrypto(homeserver))
            // So that no worker begins before the job.
            backup.pause(PauseCause.THERMAL)
            backup.moveBackup(ResetCause.KEY_COMPROMISED)
            KeyBackupWork.startNow(context, homeserver.userId, WakeUpPurpose.RESET)
            backup.resume(PauseCause.THERMAL)
            val workers = work(homeserver.userId, WakeUpPurpose.RESET)
            assertTrue("no worker beside the job", workers.all { it.state.isFinished })

            val info = jobs.single()
            assertTrue(info.isUserInitiated)
            assertNotEquals(jobId(homeserver.userId), info.id)
            assertTrue("${info.estimatedNetworkDownloadBytes}", info.estimatedNetworkDownloadBytes > SLOW_KEYS * 1_000)

            val job = RunningJob(info, network)
            eventually("the notification says what is done") {
                job.notification?.extras?.getString(Notification.EXTRA_TITLE) == "Moving message keys to a new backup"
            }
            eventually("it shows progress") { (job.notification?.extras?.getInt(Notification.EXTRA_PROGRESS) ?: 0) > 0 }
            eventually("the job has finished") { job.isFinished }
            assertEquals(false, job.wantsReschedule)
            assertEquals(ResetStep.DONE, backup.resetStatus()?.step)
        }
    }
}
