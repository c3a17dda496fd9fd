#if canImport(Security)
import Foundation

/// The backups that are open in this process, one for each account: only one knows what its runs are doing.
final class OpenBackups: @unchecked Sendable {
    static let shared = OpenBackups()

    private struct Opening {
        let account: KeyBackupAccount
        let backup: Task<KeyBackup, any Error>
    }

    private let lock = NSLock()
    private var openings: [String: Opening] = [:]
    /// An account is opened and forgotten in turn.
    private var turns: [String: Turns] = [:]

    /// Returns the backup of the account, or opens it. A call that comes while it is being opened gets the same one. One of
    /// an earlier session of the user, on another device or homeserver, is closed.
    func backup(
        of account: KeyBackupAccount,
        open: @escaping @Sendable () async throws -> KeyBackup
    ) async throws -> KeyBackup {
        let opening = lock.withLock { () -> Opening in
            let known = openings[account.userId]
            if let known, known.account == account { return known }
            let turn = turns[account.userId] ?? Turns()
            turns[account.userId] = turn
            let opening = Opening(
                account: account,
                backup: Task {
                    try? await known?.backup.value.close()
                    return try await self.open(account, in: turn, open)
                }
            )
            openings[account.userId] = opening
            return opening
        }
        return try await opening.backup.value
    }

    /// Closes the backup of the account, and does `work` before it can be opened again.
    func afterClosing(_ userID: String, _ work: @escaping @Sendable () async throws -> Void) async throws {
        let (turn, opening) = lock.withLock { () -> (Turns, Opening?) in
            let turn = turns[userID] ?? Turns()
            turns[userID] = turn
            return (turn, openings.removeValue(forKey: userID))
        }
        let backup = try? await opening?.backup.value
        try await turn.inTurn {
            backup?.close()
            await backup?.awaitQuiescent()
            try await work()
        }
    }

    private func open(
        _ account: KeyBackupAccount,
        in turn: Turns,
        _ open: @escaping @Sendable () async throws -> KeyBackup
    ) async throws -> KeyBackup {
        do {
            let backup = try await turn.inTurn(open)
            backup.onClose { self.remove(account) }
            return backup
        } catch {
            remove(account)
            throw error
        }
    }

    private func remove(_ account: KeyBackupAccount) {
        lock.withLock {
            if openings[account.userId]?.account == account { openings[account.userId] = nil }
        }
    }
}
#endif
