package io.keyferry

import java.nio.file.Path
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 500

internal class StateTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `a backup needs its recovery key, then works, then is done, also after a restart`() = withBackup { homeserver ->
        homeserver.open(directory).use { backup ->
            assertInstanceOf(KeyBackupState.Idle::class.java, backup.state.value)
            backup.run()
            assertInstanceOf(KeyBackupState.NeedsUnlock::class.java, backup.state.value)
            backup.unlock(homeserver.recoveryKey)
            val working = async { backup.state.first { it is KeyBackupState.Working } }
            backup.run()
            working.await()
            val done = assertInstanceOf(KeyBackupState.Done::class.java, backup.state.value)
            assertTrue(done.everyKeyIsHere)
            assertEquals(KEYS.toULong(), done.progress.opened)
        }
        homeserver.open(directory).use { backup ->
            assertTrue(assertInstanceOf(KeyBackupState.Done::class.java, backup.state.value).everyKeyIsHere)
        }
    }

    @Test
    fun `a pause is shown with its causes, after a restart the user's`() = withBackup { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.pause()
            backup.pause(PauseCause.OFFLINE)
            backup.run()
            val paused = assertInstanceOf(KeyBackupState.Paused::class.java, backup.state.value)
            assertEquals(setOf(PauseCause.USER, PauseCause.OFFLINE), paused.causes)
        }
        homeserver.open(directory).use { backup ->
            val paused = assertInstanceOf(KeyBackupState.Paused::class.java, backup.state.value)
            assertEquals(setOf(PauseCause.USER), paused.causes)
        }
    }

    @Test
    fun `a change between runs is shown at once`() = withBackup { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.run()
            assertInstanceOf(KeyBackupState.NeedsUnlock::class.java, backup.state.value)
            backup.unlock(homeserver.recoveryKey)
            assertInstanceOf(KeyBackupState.Idle::class.java, backup.state.value)
            backup.pause()
            assertInstanceOf(KeyBackupState.Paused::class.java, backup.state.value)
            backup.stop()
            assertInstanceOf(KeyBackupState.Stopped::class.java, backup.state.value)
            backup.start()
            assertInstanceOf(KeyBackupState.Idle::class.java, backup.state.value)

            homeserver.setFaults("""[{"kind":"status","code":503}]""")
            backup.pause(PauseCause.OFFLINE)
            backup.run()
            backup.resume(PauseCause.OFFLINE)
            assertInstanceOf(KeyBackupState.Done::class.java, backup.state.value, "opened offline")
        }
    }

    @Test
    fun `work comes after a run of another caller, which goes on in its time`() = test {
        Homeserver("--keys", "4000", "--rooms", "8", "--bytes-per-second", "3000000").use { homeserver ->
            homeserver.open(directory).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                val run = async { backup.run() }
                backup.progress.first { it.fetched > 0uL }
                val work = async { backup.work() }
                delay(50)
                backup.pause(PauseCause.IN_BACKGROUND)
                assertTrue(run.await().everyKeyIsHere)
                assertEquals(WorkOutcome.Success, work.await())
            }
        }
    }

    @Test
    fun `work that the OS grants time for goes on in the background, and a run does not`() = withBackup { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            backup.pause(PauseCause.IN_BACKGROUND)
            backup.run()
            assertInstanceOf(KeyBackupState.Paused::class.java, backup.state.value)
            assertEquals(WorkOutcome.Success, backup.work())
            assertEquals(KEYS.toULong(), backup.status().summary.opened)
            assertEquals(listOf(PauseCause.IN_BACKGROUND), backup.status().causes, "it holds again")
            backup.resume(PauseCause.IN_BACKGROUND)
            assertEquals(emptyList<PauseCause>(), backup.status().causes)
        }
    }

    private fun withBackup(block: suspend CoroutineScope.(Homeserver) -> Unit) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "5").use { block(it) }
    }
}
