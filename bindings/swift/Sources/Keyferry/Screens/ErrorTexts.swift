import Foundation

// What a user reads about an error: what happened, and what they can do. `localizedDescription` has it, in the language
// of the app. Printed, an error is the sentence that the library has for logs. Neither has the data of the error: the
// detail of a callback's failure comes from the app, and may hold anything. Only why the app's crypto refuses is printed.

extension UnlockError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .notAKey: "keyferry_error_not_a_key"
        case .mistyped: "keyferry_error_mistyped"
        case .wrongKey: "keyferry_error_wrong_key"
        case .noPassphrase: "keyferry_error_no_passphrase"
        case .noBackup: "keyferry_error_no_backup"
        case .unsupported: "keyferry_error_unsupported"
        case .unreachable: "keyferry_error_unreachable"
        case .serverFault: "keyferry_error_server_fault"
        case .notSignedIn: "keyferry_error_not_signed_in"
        case .refused: "keyferry_error_refused"
        case .inaccessible: "keyferry_error_inaccessible"
        case .gone: "keyferry_error_gone"
        case .damaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        case .shutDown: "keyferry_error_closed"
        }
    }
}

extension OpenError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .invalidHomeserverUrl, .invalidAccount, .unusableDataDir, .wrongVaultKey, .otherProtection, .otherAccount:
            "keyferry_error_configuration"
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

extension OnDemandError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .locked: "keyferry_error_locked"
        case .unreachable: "keyferry_error_unreachable"
        case .serverFault: "keyferry_error_server_fault"
        case .notSignedIn: "keyferry_error_not_signed_in"
        case .refused: "keyferry_error_refused"
        case .noBackup: "keyferry_error_no_backup"
        case .onHold: "keyferry_error_on_hold"
        case .inaccessible: "keyferry_error_inaccessible"
        case .gone: "keyferry_error_gone"
        case .damaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        case .shutDown: "keyferry_error_closed"
        }
    }
}

extension StatusError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .shutDown: "keyferry_error_closed"
        case .busy: "keyferry_error_busy"
        case .inaccessible: "keyferry_error_inaccessible"
        case .gone: "keyferry_error_gone"
        case .damaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        }
    }
}

extension LookupError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .locked: "keyferry_error_locked"
        case .inaccessible: "keyferry_error_inaccessible"
        case .gone: "keyferry_error_gone"
        case .damaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        case .shutDown: "keyferry_error_closed"
        }
    }
}

extension ExportError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .emptyPassphrase: "keyferry_error_empty_passphrase"
        case .unwritableFile: "keyferry_error_unwritable"
        case .cancelled: "keyferry_error_cancelled"
        case .vaultInaccessible: "keyferry_error_inaccessible"
        case .vaultGone: "keyferry_error_gone"
        case .vaultDamaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        }
    }
}

extension PreferenceError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .optedOut: "keyferry_error_configuration"
        case .unreachable: "keyferry_error_unreachable"
        case .notSignedIn: "keyferry_error_not_signed_in"
        case .refused: "keyferry_error_refused"
        case .inaccessible: "keyferry_error_inaccessible"
        case .gone: "keyferry_error_gone"
        case .damaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        case .shutDown: "keyferry_error_closed"
        }
    }
}

extension ResetError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .noCrypto, .cannotKeepSecrets: "keyferry_error_configuration"
        case .backupExists: "keyferry_error_backup_exists"
        case .noBackup: "keyferry_error_no_backup"
        case .underWay: "keyferry_error_reset_under_way"
        case .notUnderWay: "keyferry_error_reset_not_under_way"
        case .losesKeys: "keyferry_error_loses_keys"
        case .notProved: "keyferry_error_not_proved"
        case .currentVersion: "keyferry_error_current_version"
        case .locked: "keyferry_error_locked"
        case .preferenceNotConfirmed: "keyferry_error_preference"
        case .halted(let why): why.textName
        case .cryptoRefuses: "keyferry_error_crypto_refuses"
        case .cryptoUnavailable: "keyferry_error_crypto_unavailable"
        case .unreachable: "keyferry_error_unreachable"
        case .notSignedIn: "keyferry_error_not_signed_in"
        case .refused: "keyferry_error_refused"
        case .inaccessible: "keyferry_error_inaccessible"
        case .gone: "keyferry_error_gone"
        case .damaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        case .shutDown: "keyferry_error_closed"
        }
    }
}

extension UploadError: LocalizedError, CustomStringConvertible {
    /// What a user should read.
    public var errorDescription: String? { Texts.current.text(textName) }

    var textName: String {
        switch self {
        case .noSource: "keyferry_error_configuration"
        case .cryptoUnavailable: "keyferry_error_crypto_unavailable"
        case .cryptoRefuses: "keyferry_error_crypto_refuses"
        case .shutDown: "keyferry_error_closed"
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
