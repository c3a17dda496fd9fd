#if canImport(Security)
import Foundation

extension KeyBackup {
    /// Returns the directory of an account's vault, unless the app chooses another one: in Application Support.
    ///
    /// - Throws: `OpenError.invalidAccount` if this is not a user id; `OpenError.unusableDataDir` if there is no Application
    ///   Support and it cannot be created.
    public static func directory(for userID: String) throws -> URL {
        // A name such as ".." or "" would be a directory of all accounts.
        guard userID.hasPrefix("@"), userID.contains(":") else { throw OpenError.invalidAccount }
        do {
            return try FileManager.default.privateDirectory()
                .appendingPathComponent("vaults/" + fileName(userID), isDirectory: true)
        } catch {
            throw OpenError.unusableDataDir
        }
    }

    private static func fileName(_ userID: String) -> String {
        // Without capitals, which a file system may not tell from small letters.
        let plain = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyz0123456789._-")
        // Never nil: a Swift string is always valid Unicode.
        return userID.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
    }
}

extension FileManager {
    /// Returns the directory of this library in Application Support. On a Mac, apps share that.
    func privateDirectory() throws -> URL {
        let support = try url(for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let app = Bundle.main.bundleIdentifier.map { support.appendingPathComponent($0) } ?? support
        return app.appendingPathComponent("keyferry", isDirectory: true)
    }

    /// Creates a directory for what must stay on this device and be readable in the background: readable after the phone's
    /// first unlock. One that is there keeps the protection it has. Either is excluded from backup.
    func createPrivateDirectory(at url: URL) throws {
        if !fileExists(atPath: url.path) {
            try createDirectory(
                at: url,
                withIntermediateDirectories: true,
                attributes: [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication]
            )
        }
        var url = url
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try url.setResourceValues(values)
    }
}
#endif
