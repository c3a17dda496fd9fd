package io.keyferry

import android.app.Notification
import android.app.NotificationManager
import androidx.work.WorkInfo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf

@RunWith(RobolectricTestRunner::class)
internal class StartNowTest {
    @Test
    fun `where the OS takes no user-initiated job, an expedited worker shows its progress and can be paused`() = test {
        slowHomeserver(bytesPerSecond = 1_000_000).use { homeserver ->
            val backup = unlocked(homeserver)
            refuseJob(homeserver.userId)
            KeyBackupWork.startNow(context, homeserver.userId)
            connect()
            eventually("keys arrive") { backup.progress.value.fetched > 500uL }
            startForegroundService()
            val notifications = shadowOf(context.getSystemService(NotificationManager::class.java))
            eventually("the notification shows progress") {
                val shown = notifications.getNotification(jobId(homeserver.userId))
                (shown?.extras?.getInt(Notification.EXTRA_PROGRESS) ?: 0) > 0
            }
            val shown = notifications.getNotification(jobId(homeserver.userId))
            assertEquals("Downloading message keys", shown.extras.getString(Notification.EXTRA_TITLE))

            context.getSystemService(NotificationManager::class.java).cancel(jobId(homeserver.userId))
            val before = backup.progress.value.fetched
            eventually("more keys arrive, in more than one update") { backup.progress.value.fetched > before + 2_500uL }
            assertNull("what the user has swiped away", notifications.getNotification(jobId(homeserver.userId)))

            shown.actions.single().actionIntent.send()
            eventually("the user's pause holds") { backup.state.value is KeyBackupState.Paused }
            eventually("the worker has ended") { work(homeserver.userId).all { it.state == WorkInfo.State.SUCCEEDED } }
            assertTrue(backup.progress.value.fetched < SLOW_KEYS.toULong())
        }
    }
}
