package io.keyferry

import android.content.res.Resources
import androidx.annotation.StringRes
import io.keyferry.android.R

/**
 * Returns what a user should read about an exception of this library: what happened, and what they can do. In the
 * language of these resources. Any other exception is "something went wrong".
 */
public fun Resources.keyBackupError(error: Throwable): String = getString(
    when (error) {
        is AccessException -> error.text
        is UnlockException -> error.text
        is OpenException -> error.text
        is ExportException -> error.text
        is ResetException -> error.text
        else -> R.string.keyferry_error_internal
    },
)

@get:StringRes
internal val RunFailure.text: Int
    get() = when (this) {
        is RunFailure.NoBackup -> R.string.keyferry_error_no_backup
        is RunFailure.BackupNotServed -> R.string.keyferry_error_not_served
        is RunFailure.UnsupportedAlgorithm -> R.string.keyferry_error_unsupported
        is RunFailure.NotSignedIn -> R.string.keyferry_error_not_signed_in
        is RunFailure.RefusedByServer -> R.string.keyferry_error_refused
        is RunFailure.Tls -> R.string.keyferry_error_tls
        is RunFailure.DiskFull -> R.string.keyferry_error_disk_full
        is RunFailure.Overtaken -> R.string.keyferry_error_busy
        is RunFailure.VaultGone -> R.string.keyferry_error_gone
        is RunFailure.VaultDamaged -> R.string.keyferry_error_damaged
        is RunFailure.Internal -> R.string.keyferry_error_internal
    }

@get:StringRes
private val AccessException.text: Int
    get() = when (this) {
        is AccessException.Locked -> R.string.keyferry_error_locked
        is AccessException.NoBackup -> R.string.keyferry_error_no_backup
        is AccessException.OnHold -> R.string.keyferry_error_on_hold
        is AccessException.Unreachable -> R.string.keyferry_error_unreachable
        is AccessException.ServerFault -> R.string.keyferry_error_server_fault
        is AccessException.NotSignedIn -> R.string.keyferry_error_not_signed_in
        is AccessException.RefusedByServer -> R.string.keyferry_error_refused
        is AccessException.Tls -> R.string.keyferry_error_tls
        is AccessException.CryptoUnavailable -> R.string.keyferry_error_crypto_unavailable
        is AccessException.CryptoRefuses -> R.string.keyferry_error_crypto_refuses
        is AccessException.VaultInaccessible -> R.string.keyferry_error_inaccessible
        is AccessException.DiskFull -> R.string.keyferry_error_disk_full
        is AccessException.VaultGone -> R.string.keyferry_error_gone
        is AccessException.VaultDamaged -> R.string.keyferry_error_damaged
        is AccessException.ShutDown -> R.string.keyferry_error_closed
        is AccessException.NotConfigured -> R.string.keyferry_error_configuration
        is AccessException.Internal -> R.string.keyferry_error_internal
    }

@get:StringRes
private val UnlockException.text: Int
    get() = when (this) {
        is UnlockException.NotAKey -> R.string.keyferry_error_not_a_key
        is UnlockException.Mistyped -> R.string.keyferry_error_mistyped
        is UnlockException.WrongKey -> R.string.keyferry_error_wrong_key
        is UnlockException.NoPassphrase -> R.string.keyferry_error_no_passphrase
        is UnlockException.Unsupported -> R.string.keyferry_error_unsupported
        is UnlockException.Access -> error.text
    }

@get:StringRes
private val OpenException.text: Int
    get() = when (this) {
        is OpenException.InvalidHomeserverUrl,
        is OpenException.InvalidAccount,
        is OpenException.UnusableDataDir,
        is OpenException.OtherProtection,
        is OpenException.OtherAccount,
        -> R.string.keyferry_error_configuration
        is OpenException.WrongVaultKey -> R.string.keyferry_error_wrong_vault_key
        is OpenException.KeyringUnavailable ->
            if (keyLost) R.string.keyferry_error_keyring_lost else R.string.keyferry_error_keyring
        is OpenException.VaultTooNew -> R.string.keyferry_error_too_new
        is OpenException.VaultDamaged -> R.string.keyferry_error_damaged
        is OpenException.DiskFull -> R.string.keyferry_error_disk_full
        is OpenException.VaultInUse -> R.string.keyferry_error_busy
        is OpenException.Internal -> R.string.keyferry_error_internal
    }

@get:StringRes
private val ExportException.text: Int
    get() = when (this) {
        is ExportException.EmptyPassphrase -> R.string.keyferry_error_empty_passphrase
        is ExportException.UnwritableFile -> R.string.keyferry_error_unwritable
        is ExportException.Cancelled -> R.string.keyferry_error_cancelled
        is ExportException.Access -> error.text
    }

@get:StringRes
private val ResetException.text: Int
    get() = when (this) {
        is ResetException.CannotKeepSecrets -> R.string.keyferry_error_configuration
        is ResetException.BackupExists -> R.string.keyferry_error_backup_exists
        is ResetException.UnderWay -> R.string.keyferry_error_reset_under_way
        is ResetException.NotUnderWay -> R.string.keyferry_error_reset_not_under_way
        is ResetException.LosesKeys -> R.string.keyferry_error_loses_keys
        is ResetException.NotProved -> R.string.keyferry_error_not_proved
        is ResetException.CurrentVersion -> R.string.keyferry_error_current_version
        is ResetException.PreferenceNotConfirmed -> R.string.keyferry_error_preference
        is ResetException.Halted -> why.text
        is ResetException.Access -> error.text
    }

