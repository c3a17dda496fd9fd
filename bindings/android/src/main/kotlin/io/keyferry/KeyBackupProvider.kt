package io.keyferry

import android.content.Context

/**
 * Opens the key backups of the app's accounts. The app's `Application` implements it, so that a process that the OS
 * starts for background work can open them, too.
 *
 * ```
 * class MyApplication : Application(), KeyBackupProvider {
 *     override suspend fun openKeyBackup(userId: String): KeyBackup? =
 *         sessions.find(userId)?.let { session ->
 *             KeyBackup.open(this, session.account) { session.accessToken() }
 *         }
 * }
 * ```
 */
public interface KeyBackupProvider {
    /**
     * Opens the key backup of an account. Called once in a process for each account, when it is first wanted, and again
     * after it was closed.
     *
     * @return `null` if the account is not signed in
     * @throws OpenException as `KeyBackup.open` does
     */
    public suspend fun openKeyBackup(userId: String): KeyBackup?
}

/**
 * Returns the key backup of an account. There is one in a process: it is opened by the [KeyBackupProvider] when it is
 * first wanted, and kept until it is closed.
 *
 * @return `null` if the account is not signed in
 * @throws IllegalStateException if the backup is not open and the `Application` is no [KeyBackupProvider]
 * @throws OpenException if the vault cannot be opened
 */
public suspend fun Context.keyBackup(userId: String): KeyBackup? = OpenBackups.get(applicationContext, userId)
