package io.keyferry

import java.nio.file.Path
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val STABLE = "m.key_backup"
private const val UNSTABLE = "m.org.matrix.custom.backup_disabled"

internal class PreferenceTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `a preference turned off on one device is off on another`() = withHomeserver { homeserver ->
        homeserver.open(directory.resolve("first")).use { first ->
            assertEquals(PreferenceWrite.Written, first.preference.setEnabled(false))
        }
        assertEquals("""{"enabled":false}""", homeserver.accountData(STABLE))
        assertEquals("""{"disabled":true}""", homeserver.accountData(UNSTABLE))
        homeserver.open(directory.resolve("second")).use { second ->
            val decision = second.preference.decideAtSignIn()
            assertEquals(PreferenceValue.DISABLED, decision.backups)
            assertEquals(DecisionReason.FOLLOWS_VALUE, decision.reason)
            assertEquals(PreferenceSource.STABLE, decision.preference.source)
            assertTrue(decision.backupExists)
            assertFalse(decision.askUser)
        }
    }

    @Test
    fun `the user is asked if no preference is set, and the answer is written`() = withHomeserver { homeserver ->
        homeserver.open(directory).use { backup ->
            assertTrue(signIn(backup, askUser = { default -> default == PreferenceValue.UNDETERMINED }))
            assertEquals("""{"enabled":true}""", homeserver.accountData(STABLE))
        }
    }

    @Test
    fun `an unwritten preference is kept, requests a wake-up, and is written later`() = withHomeserver { homeserver ->
        val wakeUps = CopyOnWriteArrayList<WakeUp?>()
        suspend fun open() = KeyBackup.open(
            homeserver.options(directory),
            accessToken = { homeserver.accessToken },
            scheduleWakeUp = { _, wakeUp -> wakeUps += wakeUp },
        )
        homeserver.setFaults("""[{"kind":"status","code":503,"endpoint":"put_account_data"}]""")
        open().use { backup ->
            val write = assertInstanceOf(PreferenceWrite.Pending::class.java, backup.preference.setEnabled(true))
            assertEquals(PendingReason.Unreachable, write.reason)
            assertEquals(true, backup.preference.pending()?.enabled)
            assertTrue(wakeUps.last()?.needsNetwork == true)
        }
        homeserver.setFaults("[]")
        open().use { backup ->
            assertEquals(PreferenceWrite.Written, backup.preference.flush(budget = 20.seconds))
            assertNull(backup.preference.pending())
            assertNull(backup.preference.flush())
            assertNull(wakeUps.last())
        }
        assertEquals("""{"disabled":false}""", homeserver.accountData(UNSTABLE))
    }

    @Test
    fun `a change by another device reaches a listener that starts later`() =
        withHomeserver { homeserver ->
            homeserver.open(directory).use { backup ->
                backup.preference.setEnabled(true)
                backup.preference.accountDataArrived(listOf(AccountDataEvent(STABLE, """{"enabled":true}""")))
                backup.preference.accountDataArrived(listOf(AccountDataEvent(STABLE, """{"enabled":false}""")))
                val notice = withTimeout(5.seconds) { backup.preference.notices.first() }
                assertEquals(PreferenceValue.ENABLED, notice.before?.value)
                assertEquals(PreferenceValue.DISABLED, notice.now.value)
                assertTrue(notice.now.formsDisagree)
                assertEquals(PreferenceValue.DISABLED, backup.preference.lastSeen()?.value)
                assertEquals("""{"enabled":true}""", homeserver.accountData(STABLE), "nothing is written in answer")
            }
        }

    @Test
    fun `the resolver decides a conflict, and leaves the write pending if it throws`() = withHomeserver { homeserver ->
        var resolution: () -> PreferenceResolution = { error("no screen to ask on") }
        KeyBackup.open(
            homeserver.options(directory),
            accessToken = { homeserver.accessToken },
            resolvePreferenceConflict = { resolution() },
        ).use { backup ->
            backup.preference.setEnabled(true)
            homeserver.setFaults("""[{"kind":"status","code":503,"endpoint":"get_account_data"}]""")
            backup.preference.setEnabled(true)
            homeserver.setFaults("[]")
            homeserver.putAccountData(STABLE, """{"enabled":false}""")
            val write = assertInstanceOf(PreferenceWrite.Pending::class.java, backup.preference.flush())
            assertInstanceOf(PendingReason.ChangedMeanwhile::class.java, write.reason)
            resolution = { PreferenceResolution.TAKE_THEIRS }
            val taken = assertInstanceOf(PreferenceWrite.TheirsTaken::class.java, backup.preference.flush())
            assertEquals(PreferenceValue.DISABLED, taken.theirs.value)
        }
    }

    @Test
    fun `an unusable answer throws Unreachable, and opting out throws OptedOut`() = withHomeserver { homeserver ->
        val choosing = PreferencePolicy.TakePart(DeterminedPolicy.FOLLOW, UndeterminedPolicy.CHOOSE_ON, true)
        homeserver.open(directory.resolve("first"), choosing).use { backup ->
            homeserver.setFaults("""[{"kind":"not_json","endpoint":"get_account_data"}]""")
            thrownBy<AccessException.Unreachable> { backup.preference.decideAtSignIn() }
            homeserver.setFaults("[]")
        }
        homeserver.open(directory.resolve("second"), PreferencePolicy.OptOut).use { backup ->
            thrownBy<AccessException.NotConfigured> { backup.preference.setEnabled(true) }
            thrownBy<AccessException.NotConfigured> { backup.preference.decideAtSignIn() }
        }
        assertNull(homeserver.accountData(STABLE))
    }

    private suspend fun Homeserver.open(directory: Path, policy: PreferencePolicy): KeyBackup =
        KeyBackup.open(options(directory).copy(preference = policy), accessToken = { accessToken })

    private fun withHomeserver(block: suspend (Homeserver) -> Unit) = test {
        Homeserver("--keys", "10", "--rooms", "1").use { block(it) }
    }
}
