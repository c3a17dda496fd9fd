package io.keyferry

import android.app.Activity
import android.os.Looper
import androidx.work.WorkInfo
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf

@RunWith(RobolectricTestRunner::class)
internal class HandOverTest {
    @Test
    fun `a run that ends because the app leaves the screen is handed to a worker`() = test {
        slowHomeserver().use { homeserver ->
            val screen = Robolectric.buildActivity(Activity::class.java).setup()
            val backup = unlocked(homeserver)
            eventually("the app is on screen") { PauseCause.IN_BACKGROUND !in backup.status().causes }
            CoroutineScope(Dispatchers.Default).launch { backup.run() }
            eventually("keys arrive") { backup.progress.value.fetched > 500uL }

            screen.pause().stop()
            shadowOf(Looper.getMainLooper()).idleFor(1, TimeUnit.SECONDS)
            eventually("the run has ended") { backup.status().running == null }
            assertTrue(backup.status().summary.fetched < SLOW_KEYS.toULong())
            // By itself, the run asks for a wake-up in 15 minutes.
            eventually("a worker may begin at once") {
                work(homeserver.userId).any { it.state == WorkInfo.State.ENQUEUED && it.initialDelayMillis == 0L }
            }
            connect()
            eventually("every key is here") { backup.status().summary.opened == SLOW_KEYS.toULong() }
        }
    }
}
