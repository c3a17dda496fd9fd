package io.keyferry

import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 100

internal class UploadTest {
    @TempDir
    lateinit var directory: Path

    private val wakeUps = WakeUps()

    @Test
    fun `keys that wait are uploaded`() = withCrypto { crypto, backup ->
        assertEquals(PendingUpload(0u, isBackedUp = false), backup.pendingUpload())
        assertEquals(UploadHindrance.NotInUse, backup.uploadStatus().hindrance)
        assertEquals(UploadOutcome.Hindered(UploadHindrance.NotInUse), backup.flushUploads().outcome)

        crypto.hasOneToUpload()
        assertEquals(PendingUpload(1u, isBackedUp = true), backup.pendingUpload())
        val status = backup.uploadStatus()
        assertEquals(1uL to KEYS.toULong(), status.waiting to status.onServer)
        assertNull(status.hindrance)
        val report = backup.flushUploads()
        assertEquals(UploadOutcome.Completed, report.outcome)
        assertEquals(1uL, report.uploaded)
        assertEquals(PendingUpload(0u, isBackedUp = true), backup.pendingUpload())
    }

    @Test
    fun `a worker uploads what waits, or asks for another one`() = withCrypto { crypto, backup ->
        crypto.hasOneToUpload()
        backup.pause(PauseCause.OFFLINE)
        val retry = assertInstanceOf(WorkOutcome.Retry::class.java, backup.work(WakeUpPurpose.UPLOAD))
        assertNotNull(retry.wakeUp)
        assertEquals(0, wakeUps.count(WakeUpPurpose.UPLOAD), "the worker schedules it")
        backup.resume(PauseCause.OFFLINE)
        backup.pause(PauseCause.IN_BACKGROUND)
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.UPLOAD))
        assertNull(crypto.page)
    }

    @Test
    fun `a crypto that throws is asked again later`() = withCrypto { crypto, backup ->
        crypto.hasOneToUpload()
        for (failure in listOf(CryptoException.Unavailable("locked"), NotImplementedError("on purpose"))) {
            crypto.onCall = { throw failure }
            thrownBy<AccessException.CryptoUnavailable> { backup.pendingUpload() }
            val blocked = assertInstanceOf(UploadOutcome.Blocked::class.java, backup.flushUploads().outcome)
            assertEquals(BlockedReason.CryptoUnavailable, blocked.reason)
            assertNotNull(wakeUps.last(WakeUpPurpose.UPLOAD))
        }
        crypto.onCall = { throw CryptoException.Refused("not trusted") }
        assertEquals("not trusted", thrownBy<AccessException.CryptoRefuses> { backup.pendingUpload() }.reason)
        assertEquals(UploadOutcome.CryptoRefuses("not trusted"), backup.flushUploads().outcome)
        crypto.onCall = {}
        assertEquals(UploadOutcome.Completed, backup.flushUploads().outcome)
        assertNull(wakeUps.last(WakeUpPurpose.UPLOAD))
    }

    @Test
    fun `without a source nothing can be uploaded`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            homeserver.open(directory).use { backup ->
                thrownBy<AccessException.NotConfigured> { backup.pendingUpload() }
                thrownBy<AccessException.NotConfigured> { backup.uploadStatus() }
            }
        }
    }

    private fun withCrypto(block: suspend (SmallCrypto, KeyBackup) -> Unit) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "2").use { homeserver ->
            val crypto = SmallCrypto(homeserver)
            homeserver.open(directory, crypto = crypto, scheduleWakeUp = wakeUps::take).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                backup.run()
                block(crypto, backup)
            }
        }
    }
}
