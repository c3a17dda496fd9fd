package io.keyferry

import java.nio.file.Path
import kotlin.time.Duration.Companion.minutes
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class PausingTest {
    @TempDir
    lateinit var directory: Path

    private val wakeUps = WakeUps()

    @Test
    fun `a download paused by the user stays paused until the user resumes it`() = withBackup { backup ->
        backup.pause()
        assertEquals(RunOutcome.Paused(listOf(PauseCause.USER)), backup.run().outcome)
        assertNull(wakeUps.last(WakeUpPurpose.DOWNLOAD))
        assertEquals(WorkOutcome.Success, backup.work(), "only the user may resume it")
        backup.resume()
        assertNotNull(wakeUps.last(WakeUpPurpose.DOWNLOAD))
        assertCompleted(backup.run().outcome)
    }

    @Test
    fun `a stopped download stays stopped until it is started`() = withBackup { backup ->
        backup.stop()
        assertEquals(RunOutcome.Stopped, backup.run().outcome)
        assertEquals(WorkOutcome.Success, backup.work())
        assertTrue(backup.status().stopped)
        assertNull(wakeUps.last(WakeUpPurpose.DOWNLOAD))
        backup.start()
        assertFalse(backup.status().stopped)
        assertNotNull(wakeUps.last(WakeUpPurpose.DOWNLOAD))
        assertCompleted(backup.run().outcome)
    }

    @Test
    fun `work paused by low power is retried later, and a policy can allow it`() = withBackup { backup ->
        backup.pause(PauseCause.LOW_POWER)
        assertEquals(listOf(PauseCause.LOW_POWER), backup.status().causes)
        val retry = assertInstanceOf(WorkOutcome.Retry::class.java, backup.work())
        assertTrue(checkNotNull(retry.notBefore) >= 15.minutes)
        backup.setPolicy(DownloadPolicy(inLowPower = true))
        assertEquals(WorkOutcome.Success, backup.work())
        assertTrue(backup.status().fetchComplete)
    }

    @Test
    fun `the byte limit applies only while the app reports a metered network`() = withBackup { backup ->
        backup.setPolicy(DownloadPolicy(meteredBytes = 1_000u))
        backup.pause(PauseCause.METERED_NETWORK)
        assertEquals(RunOutcome.Paused(listOf(PauseCause.METERED_NETWORK)), backup.run().outcome)
        assertTrue(wakeUps.last(WakeUpPurpose.DOWNLOAD)?.needsUnmetered == true)
        backup.resume(PauseCause.METERED_NETWORK)
        assertCompleted(backup.run().outcome, "no cause marks the network as metered")
    }

    private fun withBackup(block: suspend (KeyBackup) -> Unit) = test {
        Homeserver("--keys", "300", "--rooms", "3").use { homeserver ->
            homeserver.open(directory, scheduleWakeUp = wakeUps::take).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                block(backup)
            }
        }
    }
}
