package io.keyferry

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Test

/** `docs/errors.md` says what an app can do about each error. The tests of the crate read the same tables. */
class RemediesTest {
    /** The remedy of each error, by its name in Kotlin. */
    private val table = File("../../docs/errors.md").readLines()
        .filter { it.startsWith("| `") && ("Error." in it || "RunFailure." in it) }
        .map { row -> row.trim('|').split('|').map { it.trim().replace("`", "") } }
        .associate { it.first().replace("Error.", "Exception.") to it.last().substringBefore(';') }

    @Test
    fun `every exception says what the app can do, as the page does`() {
        val exceptions = Exceptions.all.filterIsInstance<KeyBackupException>()
        val wrapping = exceptions.filter { it.shortName.endsWith(".Access") }
        for (exception in exceptions - wrapping) {
            val remedy = if (exception is OpenException.KeyringUnavailable) "SetVaultAside" else table[exception.shortName]
            assertEquals(remedy, exception.remedy.inRust, exception.shortName)
        }
        for (exception in wrapping) assertEquals(Remedy.UNLOCK, exception.remedy, exception.shortName)
        assertEquals(Remedy.RETRY, OpenException.KeyringUnavailable(keyLost = false).remedy)
        assertEquals(table.keys.filter { "Exception." in it }.toSet(), exceptions.map { it.shortName }.toSet())
    }

    @Test
    fun `every failure of a run says what the app can do, as the page does`() {
        val failures = listOf(
            RunFailure.NoBackup, RunFailure.BackupNotServed, RunFailure.UnsupportedAlgorithm,
            RunFailure.NotSignedIn(false), RunFailure.RefusedByServer, RunFailure.Tls, RunFailure.DiskFull,
            RunFailure.Overtaken, RunFailure.VaultGone, RunFailure.VaultDamaged, RunFailure.Internal,
        )
        for (failure in failures) assertEquals(table[failure.shortName], failure.remedy.inRust, failure.shortName)
        assertEquals(table.keys.filter { "RunFailure." in it }.toSet(), failures.map { it.shortName }.toSet())
    }

    @Test
    fun `what an app throws is no error of the library`() {
        for (thrown in listOf(HostException.SignedOut(), SinkException.Unavailable(""), CryptoException.Refused(""))) {
            assertFalse((thrown as Exception) is KeyBackupException, "$thrown")
        }
    }

    private val Any.shortName: String get() = javaClass.name.removePrefix("io.keyferry.").replace('$', '.')

    /** `SET_VAULT_ASIDE` is `SetVaultAside` there. */
    private val Remedy.inRust: String
        get() = name.split('_').joinToString("") { it.lowercase().replaceFirstChar(Char::uppercase) }
}
