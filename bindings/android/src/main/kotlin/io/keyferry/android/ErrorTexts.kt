package io.keyferry.android

import android.content.res.Resources
import androidx.annotation.StringRes
import io.keyferry.ffi.ExportException
import io.keyferry.ffi.LookupException
import io.keyferry.ffi.OnDemandException
import io.keyferry.ffi.OpenException
import io.keyferry.ffi.PreferenceException
import io.keyferry.ffi.ResetException
import io.keyferry.ffi.RunFailure
import io.keyferry.ffi.StatusException
import io.keyferry.ffi.UnlockException
import io.keyferry.ffi.UploadException

/**
 * Returns what a user should read about an exception of this library: what happened, and what they can do. In the
 * language of these resources. Any other exception is "something went wrong".
 */
public fun Resources.keyBackupError(error: Throwable): String = getString(
    when (error) {
        is UnlockException -> error.text
        is OpenException -> error.text
        is OnDemandException -> error.text
        is StatusException -> error.text
        is LookupException -> error.text
        is ExportException -> error.text
        is PreferenceException -> error.text
        is ResetException -> error.text
        is UploadException -> error.text
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
private val UnlockException.text: Int
    get() = when (this) {
        is UnlockException.NotAKey -> R.string.keyferry_error_not_a_key
        is UnlockException.Mistyped -> R.string.keyferry_error_mistyped
        is UnlockException.WrongKey -> R.string.keyferry_error_wrong_key
        is UnlockException.NoPassphrase -> R.string.keyferry_error_no_passphrase
        is UnlockException.NoBackup -> R.string.keyferry_error_no_backup
        is UnlockException.Unsupported -> R.string.keyferry_error_unsupported
        is UnlockException.Unreachable -> R.string.keyferry_error_unreachable
        is UnlockException.ServerFault -> R.string.keyferry_error_server_fault
        is UnlockException.NotSignedIn -> R.string.keyferry_error_not_signed_in
        is UnlockException.Refused -> R.string.keyferry_error_refused
        is UnlockException.Inaccessible -> R.string.keyferry_error_inaccessible
        is UnlockException.Gone -> R.string.keyferry_error_gone
        is UnlockException.Damaged -> R.string.keyferry_error_damaged
        is UnlockException.Internal -> R.string.keyferry_error_internal
        is UnlockException.ShutDown -> R.string.keyferry_error_closed
    }

@get:StringRes
private val OpenException.text: Int
    get() = when (this) {
        is OpenException.InvalidHomeserverUrl,
        is OpenException.InvalidAccount,
        is OpenException.UnusableDataDir,
        is OpenException.WrongVaultKey,
        is OpenException.OtherProtection,
        is OpenException.OtherAccount,
        -> R.string.keyferry_error_configuration
        is OpenException.KeyringUnavailable ->
            if (keyLost) R.string.keyferry_error_keyring_lost else R.string.keyferry_error_keyring
        is OpenException.VaultTooNew -> R.string.keyferry_error_too_new
        is OpenException.VaultDamaged -> R.string.keyferry_error_damaged
        is OpenException.DiskFull -> R.string.keyferry_error_disk_full
        is OpenException.VaultInUse -> R.string.keyferry_error_busy
        is OpenException.Internal -> R.string.keyferry_error_internal
    }

@get:StringRes
private val OnDemandException.text: Int
    get() = when (this) {
        is OnDemandException.Locked -> R.string.keyferry_error_locked
        is OnDemandException.Unreachable -> R.string.keyferry_error_unreachable
        is OnDemandException.ServerFault -> R.string.keyferry_error_server_fault
        is OnDemandException.NotSignedIn -> R.string.keyferry_error_not_signed_in
        is OnDemandException.Refused -> R.string.keyferry_error_refused
        is OnDemandException.NoBackup -> R.string.keyferry_error_no_backup
        is OnDemandException.OnHold -> R.string.keyferry_error_on_hold
        is OnDemandException.Inaccessible -> R.string.keyferry_error_inaccessible
        is OnDemandException.Gone -> R.string.keyferry_error_gone
        is OnDemandException.Damaged -> R.string.keyferry_error_damaged
        is OnDemandException.Internal -> R.string.keyferry_error_internal
        is OnDemandException.ShutDown -> R.string.keyferry_error_closed
    }

@get:StringRes
private val StatusException.text: Int
    get() = when (this) {
        is StatusException.ShutDown -> R.string.keyferry_error_closed
        is StatusException.Busy -> R.string.keyferry_error_busy
        is StatusException.Inaccessible -> R.string.keyferry_error_inaccessible
        is StatusException.Gone -> R.string.keyferry_error_gone
        is StatusException.Damaged -> R.string.keyferry_error_damaged
        is StatusException.Internal -> R.string.keyferry_error_internal
    }

@get:StringRes
private val LookupException.text: Int
    get() = when (this) {
        is LookupException.Locked -> R.string.keyferry_error_locked
        is LookupException.Inaccessible -> R.string.keyferry_error_inaccessible
        is LookupException.Gone -> R.string.keyferry_error_gone
        is LookupException.Damaged -> R.string.keyferry_error_damaged
        is LookupException.Internal -> R.string.keyferry_error_internal
        is LookupException.ShutDown -> R.string.keyferry_error_closed
    }

@get:StringRes
private val ExportException.text: Int
    get() = when (this) {
        is ExportException.EmptyPassphrase -> R.string.keyferry_error_empty_passphrase
        is ExportException.UnwritableFile -> R.string.keyferry_error_unwritable
        is ExportException.Cancelled -> R.string.keyferry_error_cancelled
        is ExportException.VaultInaccessible -> R.string.keyferry_error_inaccessible
        is ExportException.VaultGone -> R.string.keyferry_error_gone
        is ExportException.VaultDamaged -> R.string.keyferry_error_damaged
        is ExportException.Internal -> R.string.keyferry_error_internal
    }

@get:StringRes
private val PreferenceException.text: Int
    get() = when (this) {
        is PreferenceException.OptedOut -> R.string.keyferry_error_configuration
        is PreferenceException.Unreachable -> R.string.keyferry_error_unreachable
        is PreferenceException.NotSignedIn -> R.string.keyferry_error_not_signed_in
        is PreferenceException.Refused -> R.string.keyferry_error_refused
        is PreferenceException.Inaccessible -> R.string.keyferry_error_inaccessible
        is PreferenceException.Gone -> R.string.keyferry_error_gone
        is PreferenceException.Damaged -> R.string.keyferry_error_damaged
        is PreferenceException.Internal -> R.string.keyferry_error_internal
        is PreferenceException.ShutDown -> R.string.keyferry_error_closed
    }

@get:StringRes
private val ResetException.text: Int
    get() = when (this) {
        is ResetException.NoCrypto, is ResetException.CannotKeepSecrets -> R.string.keyferry_error_configuration
        is ResetException.BackupExists -> R.string.keyferry_error_backup_exists
        is ResetException.NoBackup -> R.string.keyferry_error_no_backup
        is ResetException.UnderWay -> R.string.keyferry_error_reset_under_way
        is ResetException.NotUnderWay -> R.string.keyferry_error_reset_not_under_way
        is ResetException.LosesKeys -> R.string.keyferry_error_loses_keys
        is ResetException.NotProved -> R.string.keyferry_error_not_proved
        is ResetException.CurrentVersion -> R.string.keyferry_error_current_version
        is ResetException.Locked -> R.string.keyferry_error_locked
        is ResetException.PreferenceNotConfirmed -> R.string.keyferry_error_preference
        is ResetException.Halted -> why.text
        is ResetException.CryptoRefuses -> R.string.keyferry_error_crypto_refuses
        is ResetException.CryptoUnavailable -> R.string.keyferry_error_crypto_unavailable
        is ResetException.Unreachable -> R.string.keyferry_error_unreachable
        is ResetException.NotSignedIn -> R.string.keyferry_error_not_signed_in
        is ResetException.Refused -> R.string.keyferry_error_refused
        is ResetException.Inaccessible -> R.string.keyferry_error_inaccessible
        is ResetException.Gone -> R.string.keyferry_error_gone
        is ResetException.Damaged -> R.string.keyferry_error_damaged
        is ResetException.Internal -> R.string.keyferry_error_internal
        is ResetException.ShutDown -> R.string.keyferry_error_closed
    }

@get:StringRes
private val UploadException.text: Int
    get() = when (this) {
        is UploadException.NoSource -> R.string.keyferry_error_configuration
        is UploadException.CryptoUnavailable -> R.string.keyferry_error_crypto_unavailable
        is UploadException.CryptoRefuses -> R.string.keyferry_error_crypto_refuses
        is UploadException.ShutDown -> R.string.keyferry_error_closed
    }
