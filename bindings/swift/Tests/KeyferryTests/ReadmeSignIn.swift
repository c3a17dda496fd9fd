import Keyferry

// README begin
/// Whether backups are to be on. Call it before the app joins a backup, or creates one. An error is no decision: leave
/// backups as they are, and ask again.
func signIn(_ backup: KeyBackup, ask: (_ default: PreferenceValue) async -> Bool) async throws -> Bool {
    let decision = try await backup.preference.decideAtSignIn()
    guard decision.askUser else { return decision.backups == .enabled }
    let enabled = await ask(decision.backups)
    // Create a backup only once that is written. What is pending, `flush` writes when the app is woken for it.
    return try await backup.preference.setEnabled(enabled) == .written && enabled
}
// README end
