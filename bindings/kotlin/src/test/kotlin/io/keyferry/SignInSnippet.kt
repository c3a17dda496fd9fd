package io.keyferry

/** Whether backups are to be on. The snippet in the README, compiled and run. */
internal suspend fun signIn(backup: KeyBackup, askUser: suspend (default: PreferenceValue) -> Boolean): Boolean {
    // docs/preference.md begin
    // Before the app joins a backup, or creates one. An exception is no decision: leave backups as they are, ask again.
    val decision = backup.preference.decideAtSignIn()
    val enabled = if (decision.askUser) askUser(decision.backups) else decision.backups == PreferenceValue.ENABLED
    val write = if (decision.askUser) backup.preference.setEnabled(enabled) else decision.write
    // Create a backup only once the choice is written. What is pending, `flush` writes when the app is woken for it.
    return enabled && (write == null || write == PreferenceWrite.Written)
    // docs/preference.md end
}
