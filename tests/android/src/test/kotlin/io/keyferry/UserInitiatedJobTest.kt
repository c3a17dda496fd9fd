package io.keyferry

import android.app.Notification
import android.app.NotificationManager
import android.app.job.JobParameters
import androidx.work.WorkInfo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class UserInitiatedJobTest {
    @Test
    fun `a download that the user starts is a user-initiated job, until the user stops it`() = test {
        slowHomeserver(bytesPerSecond = 1_000_000).use { homeserver ->
            val backup = unlocked(homeserver)
            KeyBackupWork.startNow(context, homeserver.userId)
            assertTrue(work(homeserver.userId).all { it.state == WorkInfo.State.CANCELLED })

            val info = jobs.single()
            assertEquals(KeyBackupJobService::class.java.name, info.service.className)
            assertTrue(info.isUserInitiated)
            assertNotNull(info.requiredNetwork)
            assertTrue("${info.estimatedNetworkDownloadBytes}", info.estimatedNetworkDownloadBytes > SLOW_KEYS * 500)

            backup.pause(PauseCause.OFFLINE)
            backup.resume(PauseCause.OFFLINE)
            assertTrue("no worker beside the job", work(homeserver.userId).all { it.state.isFinished })

            val first = RunningJob(info, network)
            eventually("keys arrive") { backup.progress.value.fetched > 500uL }
            eventually("the notification shows progress") {
                (first.notification?.extras?.getInt(Notification.EXTRA_PROGRESS) ?: 0) > 0
            }
            eventually("the bytes are reported") { first.received > 0 }

            context.getSystemService(NotificationManager::class.java).cancel(jobId(homeserver.userId))
            val (shown, reported) = first.notification to first.received
            eventually("two more updates") { first.received > reported + 1_200_000 }
            assertSame("what the user has swiped away stays away", shown, first.notification)

            first.stop(JobParameters.STOP_REASON_USER)
            eventually("the job is stopped for good") { first.wantsReschedule == false }
            eventually("the download is paused") {
                (backup.state.value as? KeyBackupState.Paused)?.causes.orEmpty().contains(PauseCause.USER)
            }

            backup.start()
            KeyBackupWork.startNow(context, homeserver.userId)
            val second = RunningJob(jobs.single(), network)
            eventually("the job has finished") { second.isFinished }
            assertEquals(false, second.wantsReschedule)
            val done = backup.state.value as KeyBackupState.Done
            assertTrue(done.everyKeyIsHere)
        }
    }
}
