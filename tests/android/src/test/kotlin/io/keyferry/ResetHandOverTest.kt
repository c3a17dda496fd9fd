package io.keyferry

import android.app.Activity
import android.os.Looper
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf

@RunWith(RobolectricTestRunner::class)
internal class ResetHandOverTest {
    @Test
    fun `a move that the app has to leave is handed to a worker`() = test {
        slowHomeserver().use { homeserver ->
            val screen = Robolectric.buildActivity(Activity::class.java).setup()
            val backup = downloaded(homeserver, SmallCrypto(homeserver))
            eventually("the app is on screen") { PauseCause.IN_BACKGROUND !in backup.status().causes }
            // So that no worker begins before the app.
            disconnect()
            eventually("that is reported") { PauseCause.OFFLINE in backup.status().causes }
            backup.resume(PauseCause.OFFLINE)
            backup.moveBackup(ResetCause.KEY_COMPROMISED)
            CoroutineScope(Dispatchers.Default).launch { backup.runReset() }
            eventually("the new version is there") {
                backup.resetProgress.value?.let { it.step >= ResetStep.CREATED } == true
            }

            screen.pause().stop()
            shadowOf(Looper.getMainLooper()).idleFor(1, TimeUnit.SECONDS)
            eventually("the run has ended") { backup.status().running == null }
            // By itself, the run asks for a wake-up in 15 minutes.
            eventually("a worker may begin at once") {
                work(homeserver.userId, WakeUpPurpose.RESET).any { !it.state.isFinished && it.initialDelayMillis == 0L }
            }
            connect()
            eventually("every key is in the new backup") { backup.resetStatus()?.step == ResetStep.DONE }
        }
    }
}
