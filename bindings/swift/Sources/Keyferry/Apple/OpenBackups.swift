#if canImport(Security)
import Foundation

/// The backups that are open in this process, one for each account: only one knows what its runs are doing.
final class OpenBackups: @unchecked Sendable {
    static let shared = OpenBackups()

    private let lock = NSLock()
    private var openings: [String: Task<KeyBackup, any Error>] = [:]

    /// Returns the backup of the account, or opens it. A call that comes while it is being opened gets the same one.
    func backup(
        of userID: String,
        open: @escaping @Sendable () async throws -> KeyBackup
    ) async throws -> KeyBackup {
        let opening = lock.withLock {
            if let opening = openings[userID] { return opening }
            let opening = Task {
                do {
                    let backup = try await open()
                    backup.onClose { self.remove(userID) }
                    return backup
                } catch {
                    remove(userID)
                    throw error
                }
            }
            openings[userID] = opening
            return opening
        }
        return try await opening.value
    }

    /// Returns the backup of the account, if it is open.
    func find(_ userID: String) async -> KeyBackup? {
        try? await lock.withLock { openings[userID] }?.value
    }

    private func remove(_ userID: String) {
        lock.withLock { _ = openings.removeValue(forKey: userID) }
    }
}
#endif
