package io.keyferry

import android.content.Context
import java.util.concurrent.ConcurrentHashMap
import kotlin.coroutines.AbstractCoroutineContextElement
import kotlin.coroutines.CoroutineContext
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

internal const val IS_OPEN: String =
    "a KeyBackup of this account is open already: get it by context.keyBackup(userId)"

/** The backups that are open in this process, one for each account: only one knows what its workers are doing. */
internal object OpenBackups {
    private val backups = ConcurrentHashMap<String, KeyBackup>()
    private val opening = ConcurrentHashMap<String, Mutex>()

    fun find(userId: String): KeyBackup? = backups[userId]

    /** Whether [backup] is still the one of this account. It is not once the account is forgotten, and its work cancelled. */
    fun isOpen(userId: String, backup: KeyBackup): Boolean = find(userId) === backup

    suspend fun get(context: Context, userId: String): KeyBackup? =
        find(userId) ?: whileOpening(userId) {
            find(userId) ?: provider(context).openKeyBackup(userId)?.also { opened ->
                // Opened by other means than `KeyBackup.open(context, account)`.
                if (find(userId) == null) add(userId, opened)
            }
        }

    /** Does [work] in turn. A provider that asks for what it is opening would wait for itself. */
    private suspend fun whileOpening(userId: String, work: suspend () -> KeyBackup?): KeyBackup? {
        check(currentCoroutineContext()[Opening]?.userId != userId) { "keyBackup() is called by openKeyBackup()" }
        return turnOf(userId).withLock { withContext(Opening(userId)) { work() } }
    }

    /** Closes the backup of an account, and does [work] before it can be opened again. */
    suspend fun afterClosing(userId: String, work: suspend () -> Unit): Unit = turnOf(userId).withLock {
        find(userId)?.let { backup ->
            backup.close()
            backup.awaitQuiescent()
        }
        work()
    }

    /** Keeps an open backup until it is closed. Throws if the account has one already. */
    fun add(userId: String, backup: KeyBackup) {
        check(backups.putIfAbsent(userId, backup) == null) { IS_OPEN }
        backup.onClose { backups.remove(userId, backup) }
    }

    private fun turnOf(userId: String): Mutex = opening.getOrPut(userId) { Mutex() }

    private fun provider(context: Context): KeyBackupProvider = context.applicationContext as? KeyBackupProvider
        ?: error("no KeyBackup is open, and the Application does not implement KeyBackupProvider")
}

/** Marks the coroutine that opens the backup of an account. */
private class Opening(val userId: String) : AbstractCoroutineContextElement(Opening) {
    companion object Key : CoroutineContext.Key<Opening>
}
