package io.keyferry

import androidx.work.WorkInfo
import org.junit.Assert.assertNotNull
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class PreferenceWorkerTest {
    @Test
    fun `a choice that could not be written is written by a worker`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            val backup = unlocked(homeserver)
            homeserver.setFaults("""[{"kind":"status","code":503,"endpoint":"put_account_data"}]""")
            backup.preference.setEnabled(true)
            assertNotNull(backup.preference.pending())
            homeserver.setFaults("[]")
            eventually("the wake-up is scheduled") { work(homeserver.userId, WakeUpPurpose.PREFERENCE_WRITE).isNotEmpty() }
            // Instead of waiting for its delay.
            KeyBackupWork.schedule(context, homeserver.userId, WakeUpPurpose.PREFERENCE_WRITE, AT_ONCE)
            connect()
            eventually("it is written") { homeserver.accountData("m.key_backup") == """{"enabled":true}""" }
            eventually("the worker has succeeded") {
                work(homeserver.userId, WakeUpPurpose.PREFERENCE_WRITE).all { it.state == WorkInfo.State.SUCCEEDED }
            }
        }
    }
}
