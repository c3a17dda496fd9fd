package io.keyferry

import android.content.Context
import android.util.Log
import java.io.File
import java.io.IOException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/**
 * Opens the key backup of an account on Android, or creates its vault. Makes no request.
 *
 * ```
 * val backup = KeyBackup.open(context, account) { session.accessToken() }
 * ```
 *
 * One can be open for each account in a process; [keyBackup] returns it. Close it when the account signs out.
 *
 * @param sink takes the keys into the app's crypto: see `roomKeySink`. Without one, keys are only kept for look-ups
 * @param download what the download may use; `null`: the defaults of [DownloadPolicy], with 25 MB on metered networks
 * @param preference how the app takes part in the preference that the user's clients share; `null`: it follows it
 * @param roomsByPriority returns the rooms that the app knows, the most wanted first
 * @param resolvePreferenceConflict asks the user which choice counts if this device and another one differ
 * @param directory where the vault is. The default is one for each account, below `noBackupFilesDir`
 * @param protection how the secrets in the vault are kept: by default with a key in AndroidKeyStore
 * @param transport sends HTTP requests; pass an [OkHttpTransport] with the app's own OkHttp client
 * @param scheduleWakeUp asks the OS for a wake-up: by default through WorkManager, for a [KeyBackupWorker]
 * @param reportsConditions whether the conditions of the phone are reported: see [PhoneConditions]
 * @param secretKeeper writes to secret storage. Needed to reset the backup, together with the next two
 * @param backupSigner signs a new backup version
 * @param roomKeySource gives out the keys of the app's crypto. Alone it is enough to keep an existing backup up to date
 * @param accessToken returns the account's access token, a refreshed one for [TokenRequest.PREVIOUS_REJECTED]. Must not
 *   wait for a call into this backup. If it throws `HostException.SignedOut`, the account counts as signed out; after
 *   any other exception, such as a refresh without network, it is asked again later
 * @throws OpenException if the vault cannot be opened. If its remedy is
 *   `SET_VAULT_ASIDE`, call `KeyBackup.setVaultAside(keyBackupDirectory(context, userId))` and open again: everything is
 *   downloaded again
 * @throws IllegalStateException if the backup of this account is open already
 */
public suspend fun KeyBackup.Companion.open(
    context: Context,
    account: Account,
    sink: RoomKeySink? = null,
    download: DownloadPolicy? = null,
    preference: PreferencePolicy? = null,
    roomsByPriority: suspend () -> List<String> = { emptyList() },
    resolvePreferenceConflict: suspend (PreferenceConflict) -> PreferenceResolution =
        { PreferenceResolution.ASK_LATER },
    directory: File? = null,
    protection: VaultProtection? = null,
    transport: HttpTransport = OkHttpTransport(),
    scheduleWakeUp: (suspend (WakeUpPurpose, WakeUp?) -> Unit)? = null,
    reportsConditions: Boolean = true,
    secretKeeper: SecretKeeper? = null,
    backupSigner: BackupSigner? = null,
    roomKeySource: RoomKeySource? = null,
    accessToken: suspend (TokenRequest) -> String,
): KeyBackup = withContext(Dispatchers.IO) {
    val app = context.applicationContext
    check(OpenBackups.find(account.userId) == null) { IS_OPEN }
    val options = ClientOptions(
        account,
        (directory ?: keyBackupDirectory(app, account.userId)).path,
        protection ?: VaultProtection.Keyring(KeystoreKeyring(app)),
        preference,
        download,
    )
    if (scheduleWakeUp == null && app !is KeyBackupProvider) {
        Log.w(LOG_TAG, "the Application is no KeyBackupProvider: a worker in a new process cannot open this backup")
    }
    val wakeUps = WakeUpScheduler(app, account.userId)
    val backup = open(
        options,
        accessToken,
        roomsByPriority,
        resolvePreferenceConflict,
        scheduleWakeUp ?: wakeUps::schedule,
        sink,
        transport,
        secretKeeper,
        backupSigner,
        roomKeySource,
    )
    try {
        OpenBackups.add(account.userId, backup)
        if (reportsConditions) backup.onClose(PhoneConditions(app, backup)::close)
        if (scheduleWakeUp == null) {
            val handOver = CoroutineScope(Dispatchers.Default).launch { wakeUps.handOver(backup.state) }
            backup.onClose(handOver::cancel)
        }
    } catch (failure: Throwable) {
        backup.close()
        throw failure
    }
    backup
}

/**
 * Forgets the key backup of an account that has signed out: closes it, deletes its vault and the key of that, and
 * cancels its background work. Keys that were delivered to the app's crypto stay there. If the app keeps the vault's key
 * itself (`protection`), it deletes that itself. Cancelling the coroutine does not end this half-way.
 *
 * @param directory where the vault is, if the app has chosen that
 * @throws java.io.IOException if a file cannot be deleted. Without its key, what is left cannot be read
 * @throws HostException if AndroidKeyStore cannot delete the key
 */
public suspend fun KeyBackup.Companion.forget(
    context: Context,
    userId: String,
    directory: File = keyBackupDirectory(context, userId),
): Unit = withContext(NonCancellable + Dispatchers.IO) {
    try {
        OpenBackups.afterClosing(userId) {
            KeystoreKeyring(context).delete("keyferry $userId")
            if (!directory.deleteRecursively()) throw IOException("$directory is not deleted")
        }
    } finally {
        KeyBackupWork.cancel(context, userId)
    }
}
