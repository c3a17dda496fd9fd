import Keyferry

// docs/preference.md begin
/// Whether backups are to be on. Call it before the app joins a backup, or creates one. An error is no decision: leave
/// backups as they are, and ask again.
func signIn(_ backup: KeyBackup, ask: (_ default: PreferenceValue) async -> Bool) async throws -> Bool {
    let decision = try await backup.preference.decideAtSignIn()
    let enabled = decision.askUser ? await ask(decision.backups) : decision.backups == .enabled
    let write = decision.askUser ? try await backup.preference.setEnabled(enabled) : decision.write
    // Create a backup only once the choice is written. What is pending, `flush` writes when the app is woken for it.
    return enabled && (write == nil || write == .written)
}
// docs/preference.md end
