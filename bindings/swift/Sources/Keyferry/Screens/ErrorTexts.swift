import Foundation

// What a user reads about an error: what happened, and what they can do. `localizedDescription` has it, in the language
// of the app. Printed, an error is the sentence that the library has for logs. Neither has the data of the error: the
// detail of a callback's failure comes from the app, and may hold anything. Only why the app's crypto refuses is printed.

extension KeyBackupError {
    /// What a user should read.
    public var errorDescription: String? {
        Texts.current.text((self as? any HasUserText)?.textName ?? "keyferry_error_internal")
    }
}

/// Has a text for users.
protocol HasUserText {
    /// The name of the text in the resources.
    var textName: String { get }
}

extension AccessError: HasUserText {
    var textName: String {
        switch self {
        case .locked: "keyferry_error_locked"
        case .noBackup: "keyferry_error_no_backup"
        case .onHold: "keyferry_error_on_hold"
        case .unreachable: "keyferry_error_unreachable"
        case .serverFault: "keyferry_error_server_fault"
        case .notSignedIn: "keyferry_error_not_signed_in"
        case .refusedByServer: "keyferry_error_refused"
        case .tls: "keyferry_error_tls"
        case .cryptoUnavailable: "keyferry_error_crypto_unavailable"
        case .cryptoRefuses: "keyferry_error_crypto_refuses"
        case .vaultInaccessible: "keyferry_error_inaccessible"
        case .diskFull: "keyferry_error_disk_full"
        case .vaultGone: "keyferry_error_gone"
        case .vaultDamaged: "keyferry_error_damaged"
        case .shutDown: "keyferry_error_closed"
        case .notConfigured: "keyferry_error_configuration"
        case .internal: "keyferry_error_internal"
        }
    }
}

extension OpenError: HasUserText {
    var textName: String {
        switch self {
        case .invalidHomeserverUrl, .invalidAccount, .unusableDataDir, .otherProtection, .otherAccount:
            "keyferry_error_configuration"
        case .wrongVaultKey: "keyferry_error_wrong_vault_key"
        case .keyringUnavailable(keyLost: true): "keyferry_error_keyring_lost"
        case .keyringUnavailable(keyLost: false): "keyferry_error_keyring"
        case .vaultTooNew: "keyferry_error_too_new"
        case .vaultDamaged: "keyferry_error_damaged"
        case .diskFull: "keyferry_error_disk_full"
        case .vaultInUse: "keyferry_error_busy"
        case .internal: "keyferry_error_internal"
        }
    }
}

extension UnlockError: HasUserText {
    var textName: String {
        switch self {
        case .notAKey: "keyferry_error_not_a_key"
        case .mistyped: "keyferry_error_mistyped"
        case .wrongKey: "keyferry_error_wrong_key"
        case .noPassphrase: "keyferry_error_no_passphrase"
        case .unsupported: "keyferry_error_unsupported"
        case .access(let error): error.textName
        }
    }
}

extension ExportError: HasUserText {
    var textName: String {
        switch self {
        case .emptyPassphrase: "keyferry_error_empty_passphrase"
        case .unwritableFile: "keyferry_error_unwritable"
        case .cancelled: "keyferry_error_cancelled"
        case .access(let error): error.textName
        }
    }
}

extension ResetError: HasUserText {
    var textName: String {
        switch self {
        case .cannotKeepSecrets: "keyferry_error_configuration"
        case .backupExists: "keyferry_error_backup_exists"
        case .underWay: "keyferry_error_reset_under_way"
        case .notUnderWay: "keyferry_error_reset_not_under_way"
        case .losesKeys: "keyferry_error_loses_keys"
        case .notProved: "keyferry_error_not_proved"
        case .currentVersion: "keyferry_error_current_version"
        case .preferenceNotConfirmed: "keyferry_error_preference"
        case .halted(let why): why.textName
        case .access(let error): error.textName
        }
    }
}

// The four below come from the app's own callbacks, and go back to the library: no user reads them.

extension HostError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension CryptoError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension SinkError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension TransportError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}
