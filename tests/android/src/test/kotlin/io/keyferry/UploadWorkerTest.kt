package io.keyferry

import androidx.work.WorkInfo
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class UploadWorkerTest {
    @Test
    fun `keys that could not be uploaded are uploaded by a worker`() = test {
        Homeserver("--keys", "100", "--rooms", "2").use { homeserver ->
            val crypto = SmallCrypto(homeserver)
            val backup = downloaded(homeserver, crypto)
            crypto.hasOneToUpload()
            // No screen is open.
            check(backup.flushUploads().outcome is UploadOutcome.Paused)
            eventually("the wake-up is scheduled") { work(homeserver.userId, WakeUpPurpose.UPLOAD).isNotEmpty() }
            // Instead of waiting for its delay.
            KeyBackupWork.schedule(context, homeserver.userId, WakeUpPurpose.UPLOAD, AT_ONCE)
            eventually("they are uploaded") { backup.pendingUpload().keys == 0uL }
            eventually("the worker has succeeded") {
                work(homeserver.userId, WakeUpPurpose.UPLOAD).all { it.state == WorkInfo.State.SUCCEEDED }
            }
        }
    }
}
