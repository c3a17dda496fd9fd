package io.keyferry

import java.nio.file.Path
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 2_000

internal class ResetTest {
    @TempDir
    lateinit var directory: Path

    private val wakeUps = WakeUps()

    @Test
    fun `a backup moves to a new key, another device restores it, and the old version is deleted`() = withBackup(
        "--latency-ms", "10",
    ) { homeserver, crypto, backup ->
        val readiness = backup.prepareReset(ResetCause.KEY_COMPROMISED)
        assertEquals(ResetWay.MOVE, readiness.way)
        assertEquals(emptyList<KeyLoss>(), readiness.losses)
        assertNull(backup.resetProgress.value)
        val shown = CopyOnWriteArrayList<ResetProgress>()
        val watching = launch { backup.resetProgress.collect { progress -> progress?.let { shown += it } } }

        backup.moveBackup(ResetCause.KEY_COMPROMISED)
        assertEquals(ResetStep.BEGUN, backup.resetProgress.value?.step)
        assertEquals("1", homeserver.currentVersion().first, "nothing has changed yet")
        thrownBy<ResetException.UnderWay> { backup.moveBackup(ResetCause.KEY_COMPROMISED) }
        thrownBy<ResetException.NotProved> { backup.deleteVersion("1") }

        val report = backup.runReset()
        assertEquals(ResetOutcome.Completed, report.outcome)
        assertEquals("1" to "2", report.status?.oldVersion to report.status?.newVersion)
        val target = crypto.used.last().target
        assertEquals(target.version to target.publicKey, homeserver.currentVersion())
        assertEquals(ResetProgress(ResetStep.DONE, KEYS.toULong(), KEYS.toULong()), backup.resetProgress.value)
        watching.cancelAndJoin()
        assertTrue(shown.any { it.step > ResetStep.BEGUN && it.step < ResetStep.DONE }, "$shown")
        assertTrue(assertInstanceOf(KeyBackupState.Done::class.java, backup.state.value).everyKeyIsHere)

        homeserver.open(directory.resolve("other")).use { other ->
            other.unlock(UnlockSecret.DecryptionKey(crypto.used.last().decryptionKey))
            val restored = other.run()
            assertTrue(restored.everyKeyIsHere)
            assertEquals(KEYS.toULong(), restored.summary.opened)
        }

        thrownBy<ResetException.CurrentVersion> { backup.deleteVersion("2") }
        assertTrue(homeserver.hasVersion("1"))
        backup.deleteVersion("1")
        assertFalse(homeserver.hasVersion("1"))
        assertTrue(homeserver.hasVersion("2"))
    }

    @Test
    fun `a cancelled coroutine leaves a move that goes on, also after a restart`() = withBackup(
        "--latency-ms", "50", "--bytes-per-second", "1500000",
    ) { homeserver, crypto, backup ->
        backup.moveBackup(ResetCause.KEY_COMPROMISED)
        val run = async { backup.runReset() }
        backup.resetProgress.first { it != null && it.step >= ResetStep.CREATED }
        assertInstanceOf(KeyBackupState.Working::class.java, backup.state.value)
        assertInstanceOf(RunOutcome.AlreadyRunning::class.java, backup.run().outcome)
        run.cancelAndJoin()
        assertTrue(run.isCancelled)
        assertNull(backup.status().running)
        backup.awaitQuiescent()
        val status = checkNotNull(backup.resetStatus())
        assertTrue(status.step < ResetStep.DONE, "$status")
        thrownBy<ResetException.NotUnderWay> { backup.cancelReset() }
        backup.close()

        homeserver.open(directory, crypto = crypto).use { next ->
            assertEquals(status.step, next.resetProgress.value?.step)
            assertEquals(ResetOutcome.Completed, next.runReset().outcome)
        }
    }

    @Test
    fun `a callback that throws blocks a move or refuses it, and a later run completes`() = withBackup(
        "--keys", "100",
    ) { _, crypto, backup ->
        backup.moveBackup(ResetCause.KEY_COMPROMISED)
        val unavailable = listOf(
            CryptoException.Unavailable("the store is closed"),
            // Neither is declared. An `Error` that is not an `Exception` must not leave Rust waiting.
            IllegalStateException("on purpose"),
            NotImplementedError("on purpose"),
        )
        val callbacks = listOf("prepareStorage", "writeSecret", "readSecret", "signAuthData", "useBackup", "markReadBack")
        for (callback in callbacks) {
            for (failure in unavailable) {
                crypto.onCall = { name -> if (name == callback) throw failure }
                val blocked = assertInstanceOf(ResetOutcome.Blocked::class.java, backup.runReset().outcome, callback)
                assertEquals(BlockedReason.CryptoUnavailable, blocked.reason)
            }
            crypto.onCall = { name -> if (name == callback) throw CryptoException.Refused("not trusted") }
            assertEquals(ResetOutcome.CryptoRefuses("not trusted"), backup.runReset().outcome, callback)
        }
        crypto.onCall = {}
        assertEquals(ResetOutcome.Completed, backup.runReset().outcome)
    }

    @Test
    fun `a worker carries a move on in slices, and the user's pause holds it`() = withBackup { _, _, backup ->
        backup.moveBackup(ResetCause.KEY_COMPROMISED)
        assertNotNull(wakeUps.last(WakeUpPurpose.RESET))
        val before = wakeUps.count(WakeUpPurpose.RESET)
        // Too short for a step that must not be cut.
        val retry = assertInstanceOf(WorkOutcome.Retry::class.java, backup.work(WakeUpPurpose.RESET, 5.seconds))
        assertEquals(Duration.ZERO, retry.notBefore)
        backup.pause()
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.RESET), "only the user may resume it")
        assertEquals(ResetOutcome.Paused(listOf(PauseCause.USER)), backup.runReset().outcome)
        assertInstanceOf(KeyBackupState.Paused::class.java, backup.state.value)
        assertNull(wakeUps.last(WakeUpPurpose.RESET))
        backup.resume()
        assertNotNull(wakeUps.last(WakeUpPurpose.RESET), "the end of the pause asks for a worker")
        backup.pause(PauseCause.IN_BACKGROUND)
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.RESET))
        assertEquals(ResetStep.DONE, backup.resetStatus()?.step)
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.RESET), "nothing is left")
        assertEquals(before + 2, wakeUps.count(WakeUpPurpose.RESET), "work says by its outcome when it is due again")
    }

    @Test
    fun `a download comes after a move of another caller in this process`() = withBackup(
        "--latency-ms", "20",
    ) { _, _, backup ->
        backup.moveBackup(ResetCause.BACKUP_DAMAGED)
        val move = async { backup.runReset() }
        backup.resetProgress.first { it != null && it.step > ResetStep.BEGUN }
        assertEquals(WorkOutcome.Success, backup.work(WakeUpPurpose.DOWNLOAD))
        assertTrue(move.isCompleted)
        assertEquals(ResetOutcome.Completed, move.await().outcome)
    }

    @Test
    fun `a move can be cancelled before anything has changed`() = withBackup { homeserver, _, backup ->
        thrownBy<ResetException.NotUnderWay> { backup.cancelReset() }
        backup.moveBackup(ResetCause.BACKUP_DAMAGED)
        backup.cancelReset()
        assertNull(wakeUps.last(WakeUpPurpose.RESET))
        assertNull(backup.resetProgress.value)
        assertNull(backup.resetStatus())
        assertEquals(ResetOutcome.NothingToDo, backup.runReset().outcome)
        assertEquals("1", homeserver.currentVersion().first)
    }

    @Test
    fun `backups are turned off, and one is created`() = withBackup("--keys", "100") { homeserver, crypto, backup ->
        thrownBy<ResetException.BackupExists> { backup.createBackup() }
        backup.turnOff()
        assertFalse(homeserver.hasVersion("1"))
        assertEquals("""{"enabled":false}""", homeserver.accountData("m.key_backup"))
        backup.createBackup()
        assertEquals("""{"enabled":true}""", homeserver.accountData("m.key_backup"))
        assertEquals(ResetOutcome.Completed, backup.runReset().outcome)
        assertEquals(crypto.used.last().target.publicKey, homeserver.currentVersion().second)
    }

    @Test
    fun `secret storage is renewed around the same backup`() = withBackup(
        "--keys", "100",
    ) { homeserver, crypto, backup ->
        val before = homeserver.currentVersion()
        backup.rotateStorage()
        assertEquals(before, homeserver.currentVersion())
        assertNotNull(crypto.readSecret("m.megolm_backup.v1"))
    }

    @Test
    fun `keys that are not here yet would be lost, unless that is accepted`() = test {
        Homeserver("--keys", "100", "--rooms", "2").use { homeserver ->
            homeserver.open(directory, crypto = SmallCrypto(homeserver)).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                val refusal = thrownBy<ResetException.LosesKeys> { backup.moveBackup(ResetCause.BACKUP_DAMAGED) }
                assertEquals(listOf(KeyLoss(LossKind.NOT_FETCHED, 100u)), refusal.losses)
                backup.moveBackup(ResetCause.BACKUP_DAMAGED, accepted = refusal.losses)
                assertEquals(ResetStep.BEGUN, backup.resetStatus()?.step)
            }
        }
    }

    @Test
    fun `without the app's crypto there is no reset`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            homeserver.open(directory).use { backup ->
                val refusal = thrownBy<ResetException.Access> { backup.moveBackup(ResetCause.BACKUP_DAMAGED) }
                assertInstanceOf(AccessException.NotConfigured::class.java, refusal.error)
                assertEquals(ResetOutcome.NothingToDo, backup.runReset().outcome)
            }
        }
    }

    /** Runs a test on a device that has downloaded everything. */
    private fun withBackup(
        vararg arguments: String,
        block: suspend CoroutineScope.(Homeserver, SmallCrypto, KeyBackup) -> Unit,
    ) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "7", *arguments).use { homeserver ->
            val crypto = SmallCrypto(homeserver)
            homeserver.open(directory, crypto = crypto, scheduleWakeUp = wakeUps::take).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                assertTrue(backup.run().everyKeyIsHere)
                block(homeserver, crypto, backup)
            }
        }
    }
}
