#if canImport(Security)
import Foundation
#if canImport(AppleFoundation)
import AppleFoundation
#endif

extension KeyBackup {
    /// Returns the directory of an account's vault, unless the app chooses another one: in Application Support.
    ///
    /// - Throws: The error of the file system if there is no Application Support and it cannot be created.
    public static func directory(for userID: String) throws -> URL {
        let support = try FileManager.default.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        // Without capitals, which a file system may not tell from small letters.
        let plain = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyz0123456789._-")
        let name = userID.addingPercentEncoding(withAllowedCharacters: plain) ?? userID
        return support.appendingPathComponent("keyferry/vaults").appendingPathComponent(name, isDirectory: true)
    }
}

extension FileManager {
    /// Creates a directory for what must stay on this device and be readable in the background: it is excluded from
    /// backup, and readable after the phone's first unlock.
    func createPrivateDirectory(at url: URL) throws {
        let protection: [FileAttributeKey: Any] = [
            .protectionKey: FileProtectionType.completeUntilFirstUserAuthentication
        ]
        try createDirectory(at: url, withIntermediateDirectories: true, attributes: protection)
        // Also of a directory that was there.
        try setAttributes(protection, ofItemAtPath: url.path)
        var url = url
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try url.setResourceValues(values)
    }
}
#endif
