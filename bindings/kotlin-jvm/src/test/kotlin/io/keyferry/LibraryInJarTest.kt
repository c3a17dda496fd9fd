package io.keyferry

import java.nio.file.Path
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class LibraryInJarTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `the library is found without jna_library_path`() = runBlocking {
        assertNull(System.getProperty("jna.library.path"))
        val account = Account("https://example.org", "@alice:example.org", "DEVICE")
        val options = ClientOptions(account, directory.toString(), VaultProtection.Key(ByteArray(32)))
        KeyBackup.open(options, accessToken = { "token" }).use { backup ->
            assertEquals(0uL, backup.status().summary.total)
        }
    }
}
