package io.keyferry

import kotlin.time.Duration.Companion.milliseconds
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

internal class SecretsTest {
    private val secret = "EsTc"

    @Test
    fun `values that hold secrets are printed without them`() {
        val origin = BackupOrigin("1", "public", true)
        val key = RoomKey("!room:a", "session", "m.megolm.v1.aes-sha2", "sender", secret, emptyMap(), emptyList(), 0u, true, origin)
        val account = Account("https://a", "@a:a", "DEVICE")
        val holders = listOf(
            key,
            listOf(key),
            RoomKeyLookup.Found(key, emptyList()),
            UnlockSecret.RecoveryKey(secret),
            UnlockSecret.Passphrase(secret),
            UnlockSecret.DecryptionKey(secret),
            VaultProtection.Passphrase(secret),
            ClientOptions(account, "/a", VaultProtection.Key(secret.toByteArray())),
            HttpRequest(HttpMethod.GET, "https://a", listOf(HttpHeader("Authorization", secret)), null, 1.milliseconds),
            RoomKeyPage(listOf(key), null),
            NewBackup(BackupTarget("2", "public"), secret),
            // `PrintingTest` checks every exception.
            TransportException.Failed(secret),
            FileDownload.Failed(TransportException.Failed(secret)),
        )
        for (holder in holders) {
            val text = holder.toString()
            assertFalse(secret in text || secret.toByteArray().contentToString() in text, text)
        }
        assertTrue("!room:a" in key.toString(), "the room id is still printed")
    }
}
