import Foundation

/// An error of this library. There is a type for each concern; ``remedy`` says for all of them what the app can do.
///
/// ```swift
/// do {
///     try await backup.unlock(with: .recoveryKey(text: typed))
/// } catch let error as any KeyBackupError {
///     if error.remedy == .signIn { signInAgain() } else { show(error.localizedDescription) }
/// }
/// ```
///
/// `localizedDescription` is what a user should read, in the language of the app. Printed, an error is a sentence for
/// logs, in English and without secrets.
public protocol KeyBackupError: LocalizedError, CustomStringConvertible, Sendable {
    /// What the app can do about it.
    var remedy: Remedy { get }
}

// `docs/errors.md` is the source: a test compares. Not asked of the library, which an app's unit tests may not have.

extension AccessError: KeyBackupError {
    /// What the app can do about it.
    public var remedy: Remedy {
        switch self {
        case .locked: .unlock
        case .noBackup: .createBackup
        case .notSignedIn: .signIn
        case .tls, .cryptoRefuses: .askUser
        case .onHold, .unreachable, .serverFault, .cryptoUnavailable, .vaultInaccessible: .retry
        case .diskFull: .freeSpace
        case .vaultGone, .shutDown: .reopen
        case .vaultDamaged: .setVaultAside
        case .refusedByServer, .notConfigured, .internal: .report
        }
    }
}

extension OpenError: KeyBackupError {
    /// What the app can do about it.
    public var remedy: Remedy {
        switch self {
        case .unusableDataDir, .keyringUnavailable(keyLost: false), .vaultInUse: .retry
        case .keyringUnavailable(keyLost: true), .vaultDamaged: .setVaultAside
        case .wrongVaultKey: .askUser
        case .vaultTooNew: .updateApp
        case .diskFull: .freeSpace
        case .invalidHomeserverUrl, .invalidAccount, .otherProtection, .otherAccount, .internal: .report
        }
    }
}

extension UnlockError: KeyBackupError {
    /// What the app can do about it.
    public var remedy: Remedy {
        switch self {
        case .notAKey, .mistyped, .wrongKey, .noPassphrase: .askUser
        case .unsupported: .updateApp
        case .access(let error): error.remedy
        }
    }
}

extension ExportError: KeyBackupError {
    /// What the app can do about it.
    public var remedy: Remedy {
        switch self {
        case .emptyPassphrase, .unwritableFile: .askUser
        case .cancelled: .retry
        case .access(let error): error.remedy
        }
    }
}

extension ResetError: KeyBackupError {
    /// What the app can do about it.
    public var remedy: Remedy {
        switch self {
        case .backupExists: .unlock
        case .underWay, .notProved, .preferenceNotConfirmed: .retry
        case .losesKeys, .halted: .askUser
        case .cannotKeepSecrets, .notUnderWay, .currentVersion: .report
        case .access(let error): error.remedy
        }
    }
}

extension RunFailure {
    /// What the app can do about this failure of a run.
    public var remedy: Remedy {
        switch self {
        case .noBackup: .createBackup
        case .unsupportedAlgorithm: .updateApp
        case .notSignedIn: .signIn
        case .backupNotServed, .overtaken: .retry
        case .tls: .askUser
        case .diskFull: .freeSpace
        case .vaultGone: .reopen
        case .vaultDamaged: .setVaultAside
        case .refusedByServer, .internal: .report
        }
    }
}
