package io.keyferry

// `docs/errors.md` is the source: a test compares. Not asked of the library, which an app's unit tests may not have.

/** What the app can do about this failure of a run. */
public val RunFailure.remedy: Remedy
    get() = when (this) {
        is RunFailure.NoBackup -> Remedy.CREATE_BACKUP
        is RunFailure.UnsupportedAlgorithm -> Remedy.UPDATE_APP
        is RunFailure.NotSignedIn -> Remedy.SIGN_IN
        is RunFailure.BackupNotServed, is RunFailure.Overtaken -> Remedy.RETRY
        is RunFailure.Tls -> Remedy.ASK_USER
        is RunFailure.DiskFull -> Remedy.FREE_SPACE
        is RunFailure.VaultGone -> Remedy.REOPEN
        is RunFailure.VaultDamaged -> Remedy.SET_VAULT_ASIDE
        is RunFailure.RefusedByServer, is RunFailure.Internal -> Remedy.REPORT
    }

internal fun remedyOf(error: AccessException): Remedy = when (error) {
    is AccessException.Locked -> Remedy.UNLOCK
    is AccessException.NoBackup -> Remedy.CREATE_BACKUP
    is AccessException.NotSignedIn -> Remedy.SIGN_IN
    is AccessException.Tls, is AccessException.CryptoRefuses -> Remedy.ASK_USER
    is AccessException.OnHold,
    is AccessException.Unreachable,
    is AccessException.ServerFault,
    is AccessException.CryptoUnavailable,
    is AccessException.VaultInaccessible,
    -> Remedy.RETRY
    is AccessException.DiskFull -> Remedy.FREE_SPACE
    is AccessException.VaultGone, is AccessException.ShutDown -> Remedy.REOPEN
    is AccessException.VaultDamaged -> Remedy.SET_VAULT_ASIDE
    is AccessException.RefusedByServer, is AccessException.NotConfigured, is AccessException.Internal -> Remedy.REPORT
}

internal fun remedyOf(error: OpenException): Remedy = when (error) {
    is OpenException.UnusableDataDir, is OpenException.VaultInUse -> Remedy.RETRY
    is OpenException.KeyringUnavailable -> if (error.keyLost) Remedy.SET_VAULT_ASIDE else Remedy.RETRY
    is OpenException.WrongVaultKey -> Remedy.ASK_USER
    is OpenException.VaultDamaged -> Remedy.SET_VAULT_ASIDE
    is OpenException.VaultTooNew -> Remedy.UPDATE_APP
    is OpenException.DiskFull -> Remedy.FREE_SPACE
    is OpenException.InvalidHomeserverUrl,
    is OpenException.InvalidAccount,
    is OpenException.OtherProtection,
    is OpenException.OtherAccount,
    is OpenException.Internal,
    -> Remedy.REPORT
}

internal fun remedyOf(error: UnlockException): Remedy = when (error) {
    is UnlockException.NotAKey,
    is UnlockException.Mistyped,
    is UnlockException.WrongKey,
    is UnlockException.NoPassphrase,
    -> Remedy.ASK_USER
    is UnlockException.Unsupported -> Remedy.UPDATE_APP
    is UnlockException.Access -> error.error.remedy
}

internal fun remedyOf(error: ExportException): Remedy = when (error) {
    is ExportException.EmptyPassphrase, is ExportException.UnwritableFile -> Remedy.ASK_USER
    is ExportException.Cancelled -> Remedy.RETRY
    is ExportException.Access -> error.error.remedy
}

internal fun remedyOf(error: ResetException): Remedy = when (error) {
    is ResetException.BackupExists -> Remedy.UNLOCK
    is ResetException.UnderWay, is ResetException.NotProved, is ResetException.PreferenceNotConfirmed -> Remedy.RETRY
    is ResetException.LosesKeys, is ResetException.Halted -> Remedy.ASK_USER
    is ResetException.CannotKeepSecrets,
    is ResetException.NotUnderWay,
    is ResetException.CurrentVersion,
    -> Remedy.REPORT
    is ResetException.Access -> error.error.remedy
}
