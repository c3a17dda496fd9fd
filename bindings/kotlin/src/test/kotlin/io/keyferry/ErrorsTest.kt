package io.keyferry

import java.io.IOException
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class ErrorsTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `a failed opening reports its cause`() = withHomeserver { homeserver ->
        val options = homeserver.options(directory)
        thrownBy<OpenException.InvalidHomeserverUrl> {
            KeyBackup.open(options.copy(account = options.account.copy(homeserverUrl = "no url")), { "" })
        }
        thrownBy<OpenException.InvalidAccount> {
            KeyBackup.open(options.copy(account = options.account.copy(userId = "alice")), { "" })
        }
        homeserver.open(directory).close()
        thrownBy<OpenException.WrongVaultKey> {
            KeyBackup.open(options.copy(protection = VaultProtection.Key(ByteArray(32) { 8 })), { "" })
        }
    }

    @Test
    fun `a damaged vault is set aside and replaced, and an open client fails as gone`() = withHomeserver { homeserver ->
        val vault = java.io.File(homeserver.options(directory).dataDir)
        val left = homeserver.open(directory)
        val file = vault.resolve("keyferry.sqlite3")
        file.writeBytes(ByteArray(file.length().toInt()) { 0x55 })
        thrownBy<OpenException.VaultDamaged> { homeserver.open(directory) }
        val aside = KeyBackup.setVaultAside(vault)
        assertEquals(0x55, aside?.readBytes()?.first())
        assertEquals(null, KeyBackup.setVaultAside(vault))
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            thrownBy<AccessException.VaultGone> { left.status() }
            assertEquals(RunOutcome.Failed(RunFailure.VaultGone), left.run().outcome)
            assertCompleted(backup.run().outcome)
        }
        left.close()
    }

    @Test
    fun `a failed unlock reports its cause`() = withHomeserver { homeserver ->
        homeserver.open(directory).use { backup ->
            val typed = homeserver.text("recovery_key")
            thrownBy<UnlockException.Mistyped> {
                backup.unlock(UnlockSecret.RecoveryKey(typed.replaceRange(5, 6, if (typed[5] == 'z') "y" else "z")))
            }
            thrownBy<UnlockException.NotAKey> { backup.unlock(UnlockSecret.RecoveryKey("0OIl")) }
            thrownBy<UnlockException.WrongKey> { backup.unlock(UnlockSecret.Passphrase("something else")) }
            val zeros = UnlockSecret.DecryptionKey("A".repeat(42) + "E=")
            thrownBy<UnlockException.WrongKey> { backup.unlock(zeros) }
            assertEquals(RunOutcome.NeedsUnlock(listOf("1")), backup.run().outcome)
        }
    }

    @Test
    fun `a sink that throws blocks the run and a later run completes`() = withHomeserver { homeserver ->
        val sink = RecordingSink()
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            // Neither is declared. An `Error` that is not an `Exception` must not leave Rust waiting.
            for (failure in listOf(IllegalStateException("on purpose"), NotImplementedError("on purpose"))) {
                sink.failure = failure
                val blocked = assertInstanceOf(RunOutcome.Blocked::class.java, backup.run().outcome)
                assertEquals(BlockedReason.SinkUnavailable, blocked.reason)
            }
            sink.failure = null
            assertCompleted(backup.run().outcome)
            assertEquals(300, sink.names.toSet().size)
        }
    }

    @Test
    fun `an app that is signed out says so`() = withHomeserver { homeserver ->
        KeyBackup.open(homeserver.options(directory), { throw HostException.SignedOut() }).use { backup ->
            assertEquals(RunOutcome.Failed(RunFailure.NotSignedIn(false)), backup.run().outcome)
        }
    }

    @Test
    fun `an app without a token now is asked again later`() = withHomeserver { homeserver ->
        for (failure in listOf(IOException("no network to refresh it"), NotImplementedError("later"))) {
            KeyBackup.open(homeserver.options(directory), { throw failure }).use { backup ->
                val report = backup.run()
                val blocked = assertInstanceOf(RunOutcome.Blocked::class.java, report.outcome)
                assertEquals(BlockedReason.NoAccessToken, blocked.reason)
                assertTrue(report.wakeUp?.needsNetwork == true)
            }
        }
    }

    @Test
    fun `a closed backup refuses calls, and a run returns at once`() = withHomeserver { homeserver ->
        val backup = homeserver.open(directory)
        backup.close()
        backup.close()
        thrownBy<AccessException.ShutDown> { backup.status() }
        thrownBy<AccessException.ShutDown> { backup.findRoomKey("!room", "session") }
        thrownBy<ExportException.Cancelled> { backup.exportRoomKeys("passphrase", directory.resolve("keys").toFile()) }
        thrownBy<AccessException.ShutDown> { backup.pause() }
        thrownBy<AccessException.ShutDown> { backup.refresh() }
        thrownBy<AccessException.ShutDown> { backup.resetStatus() }
        assertEquals(RunOutcome.Paused(emptyList()), backup.run().outcome)
        assertEquals(ResetOutcome.Paused(emptyList()), backup.runReset().outcome)
        for (purpose in WakeUpPurpose.entries) assertEquals(WorkOutcome.Success, backup.work(purpose), "$purpose")
    }

    private fun withHomeserver(block: suspend (Homeserver) -> Unit) = test {
        Homeserver("--keys", "300", "--rooms", "3").use { block(it) }
    }
}
