import Foundation

/// The preference of a ``KeyBackup``. ``BackupPreferenceProtocol`` says what each call does.
public struct BackupPreference: BackupPreferenceProtocol {
    private let preference: KeyBackupPreference
    private let host: HostCallbacks

    init(_ preference: KeyBackupPreference, host: HostCallbacks) {
        self.preference = preference
        self.host = host
    }

    public var notices: AsyncStream<PreferenceNotice> {
        host.preferenceNotices.stream()
    }

    public func decideAtSignIn() async throws -> SignInDecision {
        try await preference.decideAtSignIn()
    }

    public func setEnabled(_ enabled: Bool) async throws -> PreferenceWrite {
        try await preference.setEnabled(enabled: enabled)
    }

    @discardableResult
    public func flush(budget: Duration?) async throws -> PreferenceWrite? {
        try await preference.flush(budget: RunBudget(maxDuration: budget))
    }

    public func pending() async throws -> PendingPreference? {
        try await preference.pending()
    }

    public func lastSeen() async throws -> SharedPreference? {
        try await preference.lastSeen()
    }

    @discardableResult
    public func refresh() async throws -> SharedPreference {
        try await preference.refresh()
    }

    public func accountDataArrived(_ events: [AccountDataEvent]) async throws {
        try await preference.accountDataArrived(events: events)
    }
}
