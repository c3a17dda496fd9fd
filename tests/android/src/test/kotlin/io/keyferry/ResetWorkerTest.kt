package io.keyferry

import androidx.work.WorkInfo
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class ResetWorkerTest {
    @Test
    fun `a worker carries on a move that the app has begun`() = test {
        Homeserver("--keys", "300", "--rooms", "3").use { homeserver ->
            val backup = downloaded(homeserver, SmallCrypto(homeserver))
            backup.moveBackup(ResetCause.KEY_COMPROMISED)
            eventually("the wake-up is scheduled") { work(homeserver.userId, WakeUpPurpose.RESET).isNotEmpty() }
            eventually("every key is in the new backup") { backup.resetStatus()?.step == ResetStep.DONE }
            eventually("the worker has succeeded") {
                work(homeserver.userId, WakeUpPurpose.RESET).all { it.state == WorkInfo.State.SUCCEEDED }
            }
            assertEquals("2", homeserver.currentVersion().first)
        }
    }
}
