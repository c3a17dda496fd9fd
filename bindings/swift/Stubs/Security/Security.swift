// A stub of Apple's Security: a Keychain of generic passwords in memory, as far as the package uses it.

import AppleFoundation

public typealias OSStatus = Int32
public typealias CFString = String
public typealias CFDictionary = [String: Any]
public typealias CFTypeRef = Any

public let errSecSuccess: OSStatus = 0
public let errSecDuplicateItem: OSStatus = -25299
public let errSecItemNotFound: OSStatus = -25300
public let errSecInteractionNotAllowed: OSStatus = -25308
public let errSecDecode: OSStatus = -26275

public let kSecClass: CFString = "class"
public let kSecClassGenericPassword: CFString = "genp"
public let kSecAttrService: CFString = "svce"
public let kSecAttrAccount: CFString = "acct"
public let kSecAttrAccessGroup: CFString = "agrp"
public let kSecAttrAccessible: CFString = "pdmn"
public let kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly: CFString = "cku"
public let kSecUseDataProtectionKeychain: CFString = "nleg"
public let kSecReturnData: CFString = "r_Data"
public let kSecMatchLimit: CFString = "m_Limit"
public let kSecMatchLimitOne: CFString = "m_LimitOne"
public let kSecValueData: CFString = "v_Data"

/// The Keychain, for a test to read, and to make fail.
public enum Keychain {
    nonisolated(unsafe) public static var items: [CFDictionary] = []
    /// What every call answers; `nil`: it works.
    nonisolated(unsafe) public static var failure: OSStatus?

    fileprivate static func indices(of query: CFDictionary) -> [Int] {
        let identity = [kSecClass, kSecAttrService, kSecAttrAccount, kSecAttrAccessGroup]
        return items.indices.filter { index in
            identity.allSatisfy { key in
                guard let wanted = query[key] as? String else { return true }
                return items[index][key] as? String == wanted
            }
        }
    }
}

public func SecItemAdd(_ attributes: CFDictionary, _ result: UnsafeMutablePointer<CFTypeRef?>?) -> OSStatus {
    if let failure = Keychain.failure { return failure }
    guard Keychain.indices(of: attributes).isEmpty else { return errSecDuplicateItem }
    Keychain.items.append(attributes)
    return errSecSuccess
}

public func SecItemCopyMatching(_ query: CFDictionary, _ result: UnsafeMutablePointer<CFTypeRef?>?) -> OSStatus {
    if let failure = Keychain.failure { return failure }
    guard let found = Keychain.indices(of: query).first else { return errSecItemNotFound }
    result?.pointee = Keychain.items[found][kSecValueData]
    return errSecSuccess
}

public func SecItemUpdate(_ query: CFDictionary, _ attributesToUpdate: CFDictionary) -> OSStatus {
    if let failure = Keychain.failure { return failure }
    let found = Keychain.indices(of: query)
    for index in found { Keychain.items[index].merge(attributesToUpdate) { _, new in new } }
    return found.isEmpty ? errSecItemNotFound : errSecSuccess
}

public func SecItemDelete(_ query: CFDictionary) -> OSStatus {
    if let failure = Keychain.failure { return failure }
    let found = Keychain.indices(of: query)
    for index in found.reversed() { Keychain.items.remove(at: index) }
    return found.isEmpty ? errSecItemNotFound : errSecSuccess
}
