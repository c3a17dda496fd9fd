import Foundation
import Keyferry

/// The preference of a ``FakeKeyBackup``: an account's value in memory.
public final class FakeBackupPreference: BackupPreferenceProtocol, @unchecked Sendable {
    private let lock = NSLock()
    private let noticesSent = Broadcast<PreferenceNotice>(bufferLimit: 64, repeatsLatest: true)
    private var account: PreferenceValue = .undetermined
    private var answer: PreferenceWrite = .written
    private var choice: Bool?

    /// Makes a preference that the account does not have yet.
    public init() {}

    /// The account's value. A test sets it as another client would.
    public var value: PreferenceValue {
        get { lock.withLock { account } }
        set { lock.withLock { account = newValue } }
    }

    /// What a write answers. After `pending`, ``flush(budget:)`` writes the choice once this is `written`.
    public var write: PreferenceWrite {
        get { lock.withLock { answer } }
        set { lock.withLock { answer = newValue } }
    }

    public var notices: AsyncStream<PreferenceNotice> { noticesSent.stream() }

    /// Sends a notice to all listeners, as after a change on another device.
    public func send(_ notice: PreferenceNotice) {
        noticesSent.send(notice)
    }

    public func decideAtSignIn() async throws -> SignInDecision {
        let value = value
        let isUndetermined = value == .undetermined
        return SignInDecision(
            backups: value,
            reason: isUndetermined ? .userHasToChoose : .followsValue,
            askUser: isUndetermined,
            preference: seen,
            backupExists: true,
            write: nil
        )
    }

    public func setEnabled(_ enabled: Bool) async throws -> PreferenceWrite {
        lock.withLock { choice = enabled }
        return try await flush(budget: nil) ?? .written
    }

    @discardableResult
    public func flush(budget: Duration?) async throws -> PreferenceWrite? {
        lock.withLock {
            guard let choice else { return nil }
            if case .written = answer {
                account = choice ? .enabled : .disabled
                self.choice = nil
            }
            return answer
        }
    }

    public func pending() async throws -> PendingPreference? {
        lock.withLock { choice }.map { PendingPreference(enabled: $0, tries: 1, changedMeanwhile: nil) }
    }

    public func lastSeen() async throws -> SharedPreference? { seen }

    @discardableResult
    public func refresh() async throws -> SharedPreference { seen }

    public func accountDataArrived(_ events: [AccountDataEvent]) async throws {}

    func finish() {
        noticesSent.finish()
    }

    private var seen: SharedPreference {
        let value = value
        return SharedPreference(value: value, source: value == .undetermined ? .nothing : .stable, formsDisagree: false)
    }
}
