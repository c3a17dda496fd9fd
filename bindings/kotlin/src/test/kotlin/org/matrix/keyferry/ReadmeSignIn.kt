package org.matrix.keyferry

import org.matrix.keyferry.ffi.PreferenceValue
import org.matrix.keyferry.ffi.PreferenceWrite

/** Whether backups are to be on. The snippet in the README, compiled and run. */
internal suspend fun signIn(backup: KeyBackup, askUser: suspend (default: PreferenceValue) -> Boolean): Boolean {
    // README begin
    // Before the app joins a backup, or creates one. An exception is no decision: leave backups as they are, ask again.
    val decision = backup.preference.decideAtSignIn()
    if (!decision.askUser) return decision.backups == PreferenceValue.ENABLED
    val enabled = askUser(decision.backups)
    // Create a backup only once that is written. What is pending, `flush` writes when the app is woken for it.
    return backup.preference.setEnabled(enabled) == PreferenceWrite.Written && enabled
    // README end
}
