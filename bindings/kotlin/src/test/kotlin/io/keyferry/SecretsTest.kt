package io.keyferry

import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import io.keyferry.ffi.Account
import io.keyferry.ffi.BackupOrigin
import io.keyferry.ffi.BackupTarget
import io.keyferry.ffi.ClientOptions
import io.keyferry.ffi.FileDownload
import io.keyferry.ffi.HttpHeader
import io.keyferry.ffi.HttpMethod
import io.keyferry.ffi.HttpRequest
import io.keyferry.ffi.NewBackup
import io.keyferry.ffi.RoomKey
import io.keyferry.ffi.RoomKeyLookup
import io.keyferry.ffi.RoomKeyPage
import io.keyferry.ffi.TransportException
import io.keyferry.ffi.UnlockSecret
import io.keyferry.ffi.VaultProtection

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
            HttpRequest(HttpMethod.GET, "https://a", listOf(HttpHeader("Authorization", secret)), null, 1u),
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
