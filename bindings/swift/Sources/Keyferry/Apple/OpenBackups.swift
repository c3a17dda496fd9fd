#if canImport(Security)
import Foundation

/// The backups that are open in this process, one for each account: only one knows what its runs are doing. What is done with
/// an account is done in the order of the calls.
final class OpenBackups: @unchecked Sendable {
    static let shared = OpenBackups()

    /// A backup that is open or being opened.
    private struct Opening {
        let id: UUID
        let account: KeyBackupAccount
        let backup: Task<KeyBackup, any Error>
    }

    private let lock = NSLock()
    private var openings: [String: Opening] = [:]
    /// The last thing that was begun for each account. Each waits for the one before it.
    private var latest: [String: Task<Void, Never>] = [:]

    /// Returns the backup of the account, or opens it. A call that comes while it is being opened gets the same one. One of
    /// an earlier session of the user, on another device or homeserver, is closed.
    func backup(
        of account: KeyBackupAccount,
        open: @escaping @Sendable () async throws -> KeyBackup
    ) async throws -> KeyBackup {
        let opening = lock.withLock { () -> Opening in
            let (earlier, previous) = (openings[account.userId], latest[account.userId])
            if let earlier, earlier.account == account { return earlier }
            let id = UUID()
            let backup = Task {
                await previous?.value
                await Self.close(earlier)
                return try await self.open(account.userId, id, open)
            }
            let opening = Opening(id: id, account: account, backup: backup)
            openings[account.userId] = opening
            latest[account.userId] = Task { _ = await opening.backup.result }
            return opening
        }
        return try await opening.backup.value
    }

    /// Closes the backup of the account, and does `work` before it can be opened again. Does all of that also if the caller
    /// is cancelled.
    func afterClosing(_ userID: String, _ work: @escaping @Sendable () async throws -> Void) async throws {
        let ending = lock.withLock {
            let (opening, previous) = (openings.removeValue(forKey: userID), latest[userID])
            let ending = Task {
                await previous?.value
                await Self.close(opening)
                try await work()
            }
            latest[userID] = Task { _ = await ending.result }
            return ending
        }
        try await ending.value
    }

    /// The accounts whose backups are open or being opened.
    var userIDs: Set<String> {
        lock.withLock { Set(openings.keys) }
    }

    private func open(
        _ userID: String,
        _ id: UUID,
        _ open: @Sendable () async throws -> KeyBackup
    ) async throws -> KeyBackup {
        do {
            let backup = try await open()
            backup.onClose { [weak backup] in self.remove(userID, id, backup) }
            return backup
        } catch {
            remove(userID, id, nil)
            throw error
        }
    }

    /// Forgets an opening. What comes next for the account waits until its backup is quiet.
    private func remove(_ userID: String, _ id: UUID, _ backup: KeyBackup?) {
        lock.withLock {
            if openings[userID]?.id == id { openings[userID] = nil }
            guard let backup else { return }
            let previous = latest[userID]
            latest[userID] = Task {
                await previous?.value
                await backup.awaitQuiescent()
            }
        }
    }

    private static func close(_ opening: Opening?) async {
        guard let backup = try? await opening?.backup.value else { return }
        backup.close()
        await backup.awaitQuiescent()
    }
}
#endif
