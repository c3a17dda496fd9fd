package org.matrix.keyferry.android

import org.junit.Assert.assertFalse
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class HandOverTest {
    @Test
    fun `a run that ends because the app leaves the screen is handed to a worker`() = test {
        slowHomeserver().use { homeserver ->
            val backup = unlocked(homeserver)
            connect()
            eventually("every key is here, although no screen has been shown") {
                backup.status().summary.opened == SLOW_KEYS.toULong()
            }
            assertFalse(work(homeserver.userId).isEmpty())
        }
    }
}
