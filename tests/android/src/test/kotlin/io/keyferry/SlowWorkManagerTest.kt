package io.keyferry

import androidx.work.WorkInfo
import androidx.work.impl.WorkManagerImpl
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.delay
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class SlowWorkManagerTest {
    @Test
    fun `a WorkManager that takes longer than the library waits gets every request in turn`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            signIn(homeserver)
            val backup = checkNotNull(context.keyBackup(homeserver.userId))
            delayWorkManager()
            backup.unlock(homeserver.recoveryKey)
            backup.pause(PauseCause.USER)
            backup.resume(PauseCause.USER)
            eventually("the wake-up is scheduled") { work(homeserver.userId).any { it.state == WorkInfo.State.ENQUEUED } }
            delayWorkManager()
            backup.resume(PauseCause.USER)
            backup.stop()
            eventually("it is cancelled") { work(homeserver.userId).all { it.state.isFinished } }

            delayWorkManager()
            backup.start()
            KeyBackupWork.startNow(context, homeserver.userId)
            assertEquals("the user's job", 1, jobs.size)
            // Long enough for a request that would come after it.
            delay(1.seconds)
            assertTrue("no worker beside it", work(homeserver.userId).all { it.state.isFinished })
        }
    }

    /** Keeps WorkManager busy for longer than the library waits for an answer, as its first start does on a slow phone. */
    private fun Phone.delayWorkManager() {
        WorkManagerImpl.getInstance(context).workTaskExecutor.serialTaskExecutor.execute { Thread.sleep(3_000) }
    }
}
