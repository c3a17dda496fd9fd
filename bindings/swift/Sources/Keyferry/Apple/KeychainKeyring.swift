#if canImport(Security)
import Foundation
import Security

/// Keeps the keys of vaults in the Keychain, for this device only, readable after the phone's first unlock: background
/// work begins while the phone is locked.
///
/// Items of the Keychain stay when the app is deleted. They do not come along to another device, and neither does a vault
/// in the default directory.
public final class KeychainKeyring: Keyring {
    private let service: String
    private let accessGroup: String?

    /// Makes a keyring.
    ///
    /// - Parameters:
    ///   - service: The service of the items.
    ///   - accessGroup: A Keychain access group, if an app extension opens the same vault. The app and the extension need
    ///     it among their entitlements. `nil`: the app's own group.
    public init(service: String = "io.keyferry", accessGroup: String? = nil) {
        self.service = service
        self.accessGroup = accessGroup
    }

    /// Returns the item with that name, or `nil` if there is none. Called by `KeyBackup.open`.
    ///
    /// - Throws: `HostError.failed` if the Keychain cannot be read now, as before the phone's first unlock.
    public func load(name: String) throws -> SecretBytes? {
        var query = item(name)
        query[kSecReturnData as String] = true
        query[kSecMatchLimit as String] = kSecMatchLimitOne
        var found: CFTypeRef?
        let status = SecItemCopyMatching(query as CFDictionary, &found)
        switch status {
        case errSecSuccess:
            guard let secret = found as? Data else { throw unusable(errSecDecode) }
            return secret
        case errSecItemNotFound: return nil
        default: throw unusable(status)
        }
    }

    /// Stores or replaces the item with that name. Called by `KeyBackup.open`.
    ///
    /// - Throws: `HostError.failed` if the Keychain cannot be written now.
    public func store(name: String, secret: SecretBytes) throws {
        var item = item(name)
        item[kSecValueData as String] = secret
        item[kSecAttrAccessible as String] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
        var status = SecItemAdd(item as CFDictionary, nil)
        if status == errSecDuplicateItem {
            let change: [String: Any] = [
                kSecValueData as String: secret,
                kSecAttrAccessible as String: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
            ]
            status = SecItemUpdate(self.item(name) as CFDictionary, change as CFDictionary)
        }
        guard status == errSecSuccess else { throw unusable(status) }
    }

    /// Deletes the item with that name, if there is one. Its vault cannot be opened any more.
    ///
    /// - Throws: `HostError.failed` if the Keychain cannot be changed now.
    public func delete(name: String) throws {
        let status = SecItemDelete(item(name) as CFDictionary)
        guard status == errSecSuccess || status == errSecItemNotFound else { throw unusable(status) }
    }

    /// Returns what identifies an item.
    private func item(_ name: String) -> [String: Any] {
        var item: [String: Any] = [
            kSecClass as String: kSecClassGenericPassword,
            kSecAttrService as String: service,
            kSecAttrAccount as String: name,
            // On macOS, too: the other keychain there knows no protection class.
            kSecUseDataProtectionKeychain as String: true,
        ]
        if let accessGroup { item[kSecAttrAccessGroup as String] = accessGroup }
        return item
    }

    private func unusable(_ status: OSStatus) -> HostError {
        .failed(detail: "the Keychain answers \(status)")
    }
}
#endif
