package io.keyferry

import java.io.IOException
import java.security.ProviderException
import java.security.UnrecoverableKeyException
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

private const val NAME = "keyferry @alice:example.org"
private val SECRET = ByteArray(32) { it.toByte() }

@RunWith(RobolectricTestRunner::class)
internal class KeyringTest {
    private val phone = Phone()
    private val keyring = KeystoreKeyring(phone.context)

    @Test
    fun `a secret is kept encrypted, and each name has its own`() {
        assertNull(keyring.load(NAME))
        keyring.store(NAME, SECRET)
        keyring.store("another", ByteArray(32))
        assertArrayEquals(SECRET, keyring.load(NAME))
        val file = phone.context.noBackupFilesDir.resolve("keyferry/keyring/${NAME.fileName()}.key")
        assertFalse(file.readBytes().toList().windowed(SECRET.size).any { it == SECRET.toList() })
        keyring.delete(NAME)
        assertNull(keyring.load(NAME))
        assertFalse(file.exists())
    }

    @Test
    fun `a key that the Keystore has lost, or a file that is not its own, is lost`() {
        keyring.store(NAME, SECRET)
        FakeKeystore.unrecoverable += NAME
        assertNull(keyring.load(NAME))
        FakeKeystore.unrecoverable -= NAME
        assertArrayEquals(SECRET, keyring.load(NAME))

        FakeKeystore.keys.remove(NAME)
        assertNull(keyring.load(NAME))

        keyring.store("another", SECRET)
        FakeKeystore.keys[NAME] = FakeKeystore.keys.getValue("another")
        assertNull("the file is sealed with another key", keyring.load(NAME))
    }

    @Test
    fun `a Keystore that cannot be asked now is no lost key`() {
        keyring.store(NAME, SECRET)
        FakeKeystore.failure = ProviderException("busy")
        assertThrows(HostException.Failed::class.java) { keyring.load(NAME) }
        FakeKeystore.failure = UnrecoverableKeyException("no answer").apply { initCause(IOException("restarting")) }
        assertThrows(HostException.Failed::class.java) { keyring.load(NAME) }
        assertThrows("a good key is not replaced", HostException.Failed::class.java) { keyring.store(NAME, SECRET) }
        FakeKeystore.failure = null
        assertArrayEquals(SECRET, keyring.load(NAME))
    }

    @Test
    fun `a vault whose key is lost says so, and is set aside`() = test(phone) {
        Homeserver("--keys", "100", "--rooms", "2").use { homeserver ->
            val userId = homeserver.signedIn.userId
            suspend fun open() = KeyBackup.open(context, homeserver.signedIn) { homeserver.accessToken }
            open().use { backup ->
                backup.unlock(homeserver.recoveryKey)
                assertTrue(backup.run().everyKeyIsHere)
            }
            open().use { backup -> assertTrue(backup.status().unlocked) }

            FakeKeystore.keys.clear()
            val lost = runCatching { open() }.exceptionOrNull() as OpenException.KeyringUnavailable
            assertTrue(lost.keyLost)
            KeyBackup.setVaultAside(keyBackupDirectory(context, userId))
            open().use { backup ->
                assertEquals(0uL, backup.status().summary.fetched)
                backup.unlock(homeserver.recoveryKey)
                assertTrue(backup.run().everyKeyIsHere)
            }
        }
    }
}
