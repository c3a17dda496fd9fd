import Foundation
import Keyferry

/// The crypto of an app, as far as a reset needs it: secrets are not encrypted, nothing is signed, and the only room keys
/// are those of `pages`, one on each.
actor TestCrypto: SecretKeeper, BackupSigner, RoomKeySource {
    /// The backup that it was told to use last.
    private(set) var newBackup: NewBackup?
    /// The pages that were marked.
    private(set) var marked: [String] = []
    private let homeserver: TestHomeserver
    private var inUse: BackupTarget?
    private var pages: [SourcePage] = []
    private var isRenewed = false
    private var failure: (call: String, error: any Error)?

    init(_ homeserver: TestHomeserver) {
        self.homeserver = homeserver
    }

    /// Makes every call of that name throw; `nil`: none throws any more.
    func fail(_ call: String?, with error: any Error = Hangs()) {
        failure = call.map { ($0, error) }
    }

    /// Uses a backup, for which it has these pages.
    func use(_ backup: BackupTarget, _ pages: [SourcePage]) {
        (inUse, self.pages) = (backup, pages)
    }

    // MARK: SecretKeeper

    func prepareStorage(renew: Bool) async throws {
        try check("prepareStorage")
        guard renew, !isRenewed else { return }
        try await homeserver.putAccountData("m.secret_storage.default_key", #"{"key":"RENEWED"}"#)
        isRenewed = true
    }

    func writeSecret(name: String, secret: SecretString) async throws {
        try check("writeSecret")
        let content = try ["encrypted": [await defaultKey(): ["secret": secret]]]
        let json = try JSONEncoder().encode(content)
        try await homeserver.putAccountData(name, String(decoding: json, as: UTF8.self))
    }

    func readSecret(name: String) async throws -> SecretString? {
        try check("readSecret")
        guard let json = try await homeserver.accountData(name) else { return nil }
        let key = try await defaultKey()
        let content = try JSONDecoder().decode(Secret.self, from: Data(json.utf8))
        return content.encrypted[key]?.secret
    }

    private struct Secret: Decodable {
        struct Encrypted: Decodable {
            let secret: String?
        }

        let encrypted: [String: Encrypted]
    }

    private func defaultKey() async throws -> String {
        let json = try await homeserver.accountData("m.secret_storage.default_key") ?? "{}"
        return try JSONDecoder().decode([String: String].self, from: Data(json.utf8))["key"] ?? ""
    }

    // MARK: BackupSigner

    func signAuthData(authDataJson: String) async throws -> String {
        try check("signAuthData")
        return authDataJson
    }

    // MARK: RoomKeySource

    func countRoomKeys() async throws -> SourceCounts {
        try check("countRoomKeys")
        return SourceCounts(total: UInt64(pages.count + marked.count), backedUp: UInt64(marked.count))
    }

    func backupInUse() async throws -> BackupTarget? { inUse }

    func nextPage(backup: BackupTarget) async throws -> SourcePage? {
        try check("nextPage")
        return backup == inUse ? pages.first : nil
    }

    func markPage(pageId: String) async throws {
        pages.removeAll { $0.id == pageId }
        marked.append(pageId)
    }

    func useBackup(backup: NewBackup) async throws {
        try check("useBackup")
        (newBackup, inUse) = (backup, backup.target)
    }

    func markReadBack(backup: BackupTarget, keys: [RoomKey]) async throws {}

    private func check(_ call: String) throws {
        if let failure, failure.call == call { throw failure.error }
    }
}
