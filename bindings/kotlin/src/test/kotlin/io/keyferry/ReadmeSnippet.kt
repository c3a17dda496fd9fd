package io.keyferry

import java.io.File
import kotlin.time.Duration.Companion.minutes

/** The snippets in the README and in the page on resets, compiled. */
@Suppress("unused")
internal suspend fun restore(account: Account, directory: File, keyring: Keyring, sink: RoomKeySink, token: suspend () -> String, typed: String) {
    // README begin
    // Once in a process. `close` it when the account signs out.
    val backup = KeyBackup.open(
        ClientOptions(account, directory, VaultProtection.Keyring(keyring)),
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

@Suppress("unused")
internal suspend fun move(backup: KeyBackup, accept: suspend (List<KeyLoss>) -> Boolean) {
    // docs/reset.md begin
    val losses = backup.prepareReset(ResetCause.KEY_COMPROMISED).losses // the keys that this device lacks
    if (losses.isNotEmpty() && !accept(losses)) return
    backup.moveBackup(ResetCause.KEY_COMPROMISED, accepted = losses)
    val report = backup.runReset() // a worker carries on what is left
    val old = report.status?.oldVersion
    if (report.outcome is ResetOutcome.Completed && old != null) backup.deleteVersion(old, accepted = losses)
    // docs/reset.md end
}
