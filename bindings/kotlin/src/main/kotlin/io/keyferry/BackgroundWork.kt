package io.keyferry

import kotlin.time.Duration
import io.keyferry.ffi.PreferenceException

/** Writes a pending preference. One that stays pending asks for a wake-up, unless it waits for the user. */
internal suspend fun BackupPreferenceApi.writePending(budget: Duration?): WorkOutcome = try {
    flush(budget)
    WorkOutcome.Success
} catch (error: PreferenceException) {
    when (error) {
        is PreferenceException.Unreachable, is PreferenceException.Inaccessible -> WorkOutcome.Retry(null)
        // The next worker opens a new client.
        is PreferenceException.Gone, is PreferenceException.Internal -> WorkOutcome.Retry(null)
        // The app takes no part, the account is signed out, or the app must set the vault aside.
        else -> WorkOutcome.Success
    }
}
