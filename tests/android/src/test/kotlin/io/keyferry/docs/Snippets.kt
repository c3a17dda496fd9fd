@file:Suppress("unused")

package io.keyferry.docs

import android.app.Activity
import android.app.Application
import android.content.Context
import android.net.ConnectivityManager
import android.net.NetworkCapabilities
import io.keyferry.*
import io.keyferry.testing.FakeKeyBackup
import io.keyferry.testing.FakeRun
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.filterNotNull
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import okhttp3.OkHttpClient
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowNetworkCapabilities

/** What an app has: its sessions, its crypto, its screens. */
private class Session(
    val account: Account,
    val sink: RoomKeySink,
    val secretKeeper: SecretKeeper,
    val backupSigner: BackupSigner,
    val roomKeySource: RoomKeySource,
) {
    suspend fun accessToken(): String = "token of ${account.userId}"

    fun decryptAgain(lookup: RoomKeyLookup.Found): String = lookup.key.sessionId
}

private object Sessions {
    fun find(userId: String): Session? = null.also { userId.length }
}

// README begin
class MyApplication : Application(), KeyBackupProvider {
    override suspend fun openKeyBackup(userId: String): KeyBackup? = Sessions.find(userId)?.let { session ->
        KeyBackup.open(this, session.account, sink = session.sink) { session.accessToken() }
    }
}
// README end

private suspend fun Activity.restore(userId: String, typed: String, progressView: KeyBackupProgressView) {
    // README begin
    val backup = keyBackup(userId) ?: return // the one of this process
    backup.unlock(UnlockSecret.RecoveryKey(typed))
    KeyBackupWork.startNow(this, userId) // with a notification; goes on when the user leaves the app
    backup.state.collect(progressView::show)
    // README end
}

private fun Activity.actions(userId: String, backup: KeyBackup, progressView: KeyBackupProgressView, scope: CoroutineScope) {
    // docs/android.md begin
    progressView.onAction = { action ->
        scope.launch {
            when (action) {
                KeyBackupAction.PAUSE -> backup.pause()
                KeyBackupAction.RESUME -> backup.start().also { KeyBackupWork.startNow(this@actions, userId) }
                KeyBackupAction.RETRY -> KeyBackupWork.startNow(this@actions, userId)
                KeyBackupAction.UNLOCK -> askForRecoveryKey()
            }
        }
    }
    // docs/android.md end
}

private fun askForRecoveryKey() {}

private suspend fun Activity.unlock(backup: KeyBackup, typed: String, say: (String) -> Unit) {
    // docs/android.md begin
    try {
        backup.unlock(UnlockSecret.RecoveryKey(typed))
    } catch (failure: UnlockException) {
        say(resources.keyBackupError(failure)) // "The recovery key has a typing error. Check it."
    }
    // docs/android.md end
}

private suspend fun lookUp(backup: KeyBackup, session: Session, roomId: String, sessionId: String): String? {
    // docs/android.md begin
    val lookup = backup.fetchSession(roomId, sessionId)
    if (lookup is RoomKeyLookup.Found) return session.decryptAgain(lookup)
    // docs/android.md end
    return null
}

private class Crypto {
    fun import(keys: List<RoomKey>): Int = keys.size
}

private fun sinkOf(crypto: Crypto): RoomKeySink {
    // docs/android.md begin
    val sink = roomKeySink { keys ->
        crypto.import(keys) // durable when this returns
        keys.map { SinkAnswer.Imported }
    }
    // docs/android.md end
    return sink
}

private fun validatedNetwork(context: Context) {
    // docs/android.md begin
    val networks = context.getSystemService(ConnectivityManager::class.java)
    val capabilities = ShadowNetworkCapabilities.newInstance()
    shadowOf(capabilities).addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
    shadowOf(capabilities).addCapability(NetworkCapabilities.NET_CAPABILITY_VALIDATED)
    shadowOf(networks).networkCallbacks.forEach { it.onCapabilitiesChanged(networks.activeNetwork!!, capabilities) }
    // docs/android.md end
}

private suspend fun openOrStartAgain(context: Context, session: Session): KeyBackup {
    // docs/android.md begin
    suspend fun open() = KeyBackup.open(context, session.account, sink = session.sink) { session.accessToken() }
    return try {
        open()
    } catch (failure: OpenException) {
        if (failure.remedy != Remedy.SET_VAULT_ASIDE) throw failure
        KeyBackup.setVaultAside(keyBackupDirectory(context, session.account.userId))
        open()
    }
    // docs/android.md end
}

private suspend fun signOut(context: Context, userId: String) {
    // docs/android.md begin
    KeyBackup.forget(context, userId)
    // docs/android.md end
}

private suspend fun replaced(context: Context, session: Session, okHttp: OkHttpClient): KeyBackup =
    // docs/android.md begin
    KeyBackup.open(
        context,
        session.account,
        sink = session.sink,
        download = DownloadPolicy(meteredBytes = 100_000_000u, needsCharging = true),
        transport = OkHttpTransport(okHttp),
    ) { session.accessToken() }
    // docs/android.md end

private suspend fun openWithCrypto(context: Context, session: Session): KeyBackup =
    // docs/android.md begin
    KeyBackup.open(
        context,
        session.account,
        sink = session.sink,
        secretKeeper = session.secretKeeper, // writes to secret storage
        backupSigner = session.backupSigner, // signs a new backup
        roomKeySource = session.roomKeySource, // gives out keys that are not backed up, and takes over a new backup
    ) { session.accessToken() }
    // docs/android.md end

private suspend fun Activity.moveBackup(userId: String, backup: KeyBackup, say: (String) -> Unit) {
    // docs/android.md begin
    val readiness = backup.prepareReset(ResetCause.KEY_COMPROMISED) // what it costs, and what would be lost
    if (readiness.way != ResetWay.MOVE || !userAccepts(readiness)) return
    backup.moveBackup(ResetCause.KEY_COMPROMISED, accepted = readiness.losses)
    KeyBackupWork.startNow(this, userId, WakeUpPurpose.RESET) // with a notification; goes on when the user leaves the app
    val last = backup.resetProgress.filterNotNull()
        .onEach { say(resources.keyBackupResetDetail(it)) } // "12,345 of 50,000 keys uploaded"
        .first { it.step == ResetStep.DONE || it.stopped != null }
    if (last.stopped != null) return // the text says why: begin again
    val old = backup.resetStatus()?.oldVersion ?: return
    backup.deleteVersion(old, accepted = readiness.losses)
    // docs/android.md end
}

private fun userAccepts(readiness: ResetReadiness): Boolean = readiness.losses.isEmpty()

private suspend fun signOutSafely(context: Context, userId: String, backup: KeyBackup) {
    // docs/android.md begin
    if (backup.pendingUpload().keys > 0uL) backup.flushUploads()
    if (backup.pendingUpload().keys > 0uL && !userGivesUpKeys()) return
    // docs/android.md end
    KeyBackup.forget(context, userId)
}

private fun userGivesUpKeys(): Boolean = false

private class KeysViewModel(val backup: KeyBackupApi)

private fun faked(): KeysViewModel =
    // docs/android.md begin
    KeysViewModel(FakeKeyBackup(FakeRun.ofKeys(1_000u), recoveryKey = "EsTc …"))
    // docs/android.md end
