package io.keyferry

import kotlin.time.Duration

/** Writes a pending preference. One that stays pending asks for a wake-up, unless it waits for the user. */
internal suspend fun BackupPreferenceApi.writePending(budget: Duration?): WorkOutcome = try {
    flush(budget)
    WorkOutcome.Success
} catch (_: AccessException.ShutDown) {
    // The app has closed the backup, and opens it again if there is more to do.
    WorkOutcome.Success
} catch (error: AccessException) {
    when (error.remedy) {
        // The next worker opens a new client.
        Remedy.RETRY, Remedy.REOPEN, Remedy.FREE_SPACE -> WorkOutcome.Retry(null)
        // The app takes no part, the account is signed out, or the app must set the vault aside.
        else -> WorkOutcome.Success
    }
}
