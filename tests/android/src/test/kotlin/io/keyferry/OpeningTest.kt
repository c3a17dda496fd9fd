package io.keyferry

import android.app.Application
import java.io.File
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotSame
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

private val ALICE = Account("https://example.org", "@alice:example.org", "DEVICE")

@RunWith(RobolectricTestRunner::class)
internal class OpeningTest {
    private val phone = Phone()
    private val context = phone.context

    @Test
    @Config(application = ProvidingApplication::class)
    fun `a backup is opened once, and again after it was closed`() = test(phone) {
        assertNull(context.keyBackup("@bob:example.org"))
        val backup = checkNotNull(context.keyBackup(ALICE.userId))
        assertSame(backup, context.keyBackup(ALICE.userId))
        backup.close()
        backup.close()
        val next = checkNotNull(context.keyBackup(ALICE.userId))
        assertNotSame(backup, next)
        next.close()
    }

    @Test
    @Config(application = Application::class)
    fun `an application that provides nothing is told so`() = test(phone) {
        val mistake = assertThrows(IllegalStateException::class.java) { runBlocking { context.keyBackup("@a:b") } }
        assertTrue("${mistake.message}", "KeyBackupProvider" in mistake.message.orEmpty())
    }

    @Test
    @Config(application = CircularApplication::class)
    fun `a provider that asks for what it opens is told so`() = test(phone) {
        val mistake = assertThrows(IllegalStateException::class.java) { runBlocking { context.keyBackup("@a:b") } }
        assertTrue("${mistake.message}", "openKeyBackup" in mistake.message.orEmpty())
    }

    @Test
    fun `every default can be replaced`() = test(phone) {
        val directory = File(context.filesDir, "mine")
        val asked = mutableListOf<WakeUpPurpose>()
        KeyBackup.open(
            context,
            ALICE,
            directory = directory,
            protection = VaultProtection.Key(ByteArray(32)),
            scheduleWakeUp = { purpose, _ -> asked += purpose },
            reportsConditions = false,
        ) { "token" }.use { backup ->
            assertTrue(directory.resolve("keyferry.sqlite3").exists())
            assertFalse(keyBackupDirectory(context, ALICE.userId).exists())
            assertTrue(FakeKeystore.keys.isEmpty())
            backup.start()
            assertEquals(listOf(WakeUpPurpose.DOWNLOAD), asked)
            assertTrue(backup.status().causes.isEmpty())
        }
        KeyBackup.forget(context, ALICE.userId, directory)
        assertFalse(directory.exists())
    }
}

internal class ProvidingApplication : Application(), KeyBackupProvider {
    override suspend fun openKeyBackup(userId: String): KeyBackup? =
        if (userId == ALICE.userId) KeyBackup.open(this, ALICE) { "token" } else null
}

internal class CircularApplication : Application(), KeyBackupProvider {
    override suspend fun openKeyBackup(userId: String): KeyBackup? = keyBackup(userId)
}
