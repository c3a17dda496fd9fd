package org.matrix.keyferry

import java.io.File
import kotlin.time.Duration.Companion.minutes
import org.matrix.keyferry.ffi.Account
import org.matrix.keyferry.ffi.ClientOptions
import org.matrix.keyferry.ffi.Keyring
import org.matrix.keyferry.ffi.RoomKeySink
import org.matrix.keyferry.ffi.RunOutcome
import org.matrix.keyferry.ffi.UnlockSecret
import org.matrix.keyferry.ffi.VaultProtection

/** The snippet in the README, compiled. */
@Suppress("unused")
internal suspend fun restore(account: Account, directory: File, keyring: Keyring, sink: RoomKeySink, token: suspend () -> String, typed: String) {
    // README begin
    // Once in a process. `close` it when the account signs out.
    val backup = KeyBackup.open(
        ClientOptions(account, directory.path, VaultProtection.Keyring(keyring)),
        accessToken = { token() },
        sink = sink,
    )
    backup.unlock(UnlockSecret.RecoveryKey(typed))
    // In a worker: cancelling it pauses the run, and the next one goes on.
    val report = backup.run(budget = 9.minutes)
    when {
        report.everyKeyIsHere -> println("every key is here")
        report.outcome is RunOutcome.Completed -> println("all that can be had is here: ${report.summary}")
        else -> println("to be gone on with: ${report.outcome}")
    }
    // README end
}
