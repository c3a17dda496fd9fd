import Keyferry

// docs/preference.md begin
/// Returns whether to back up. Call it before the app joins a backup, or creates one. If it throws, nothing is decided:
/// leave backups as they are, and call it again.
func signIn(_ backup: KeyBackup, ask: (_ default: PreferenceValue) async -> Bool) async throws -> Bool {
    let decision = try await backup.preference.decideAtSignIn()
    let enabled = decision.askUser ? await ask(decision.backups) : decision.backups == .enabled
    let write = decision.askUser ? try await backup.preference.setEnabled(enabled) : decision.write
    // Create a backup only once the choice is written. What is pending, `flush` writes when the app is woken for it.
    return enabled && (write == nil || write == .written)
}
// docs/preference.md end
