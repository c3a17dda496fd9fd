package io.keyferry

import kotlinx.coroutines.cancel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class ForgottenAccountTest {
    @Test
    fun `an account that has signed out leaves nothing behind`() = test {
        slowHomeserver().use { homeserver ->
            val backup = unlocked(homeserver)
            connect()
            eventually("keys arrive") { backup.progress.value.fetched > 500uL }
            // As on a screen that is closed when the user has signed out.
            coroutineScope {
                launch {
                    cancel()
                    KeyBackup.forget(context, homeserver.userId)
                }
            }
            assertTrue(work(homeserver.userId).all { it.state.isFinished })
            assertFalse(keyBackupDirectory(context, homeserver.userId).exists())
            assertTrue(FakeKeystore.keys.isEmpty())
            assertEquals(null, OpenBackups.find(homeserver.userId))
        }
    }
}
