package org.matrix.keyferry.android

import android.content.Context
import java.util.concurrent.ConcurrentHashMap
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import org.matrix.keyferry.KeyBackup

internal const val IS_OPEN: String =
    "a KeyBackup of this account is open already: get it by context.keyBackup(userId)"

/** The backups that are open in this process, one for each account: only one knows what its workers are doing. */
internal object OpenBackups {
    private val backups = ConcurrentHashMap<String, KeyBackup>()
    private val opening = ConcurrentHashMap<String, Mutex>()

    fun find(userId: String): KeyBackup? = backups[userId]

    suspend fun get(context: Context, userId: String): KeyBackup? =
        find(userId) ?: opening.getOrPut(userId) { Mutex() }.withLock {
            find(userId) ?: provider(context).openKeyBackup(userId)?.also { opened ->
                // Opened by other means than `KeyBackup.open(context, account)`.
                if (find(userId) == null) add(userId, opened)
            }
        }

    /** Keeps an open backup until it is closed. Throws if the account has one already. */
    fun add(userId: String, backup: KeyBackup) {
        check(backups.putIfAbsent(userId, backup) == null) { IS_OPEN }
        backup.onClose { backups.remove(userId, backup) }
    }

    private fun provider(context: Context): KeyBackupProvider = context.applicationContext as? KeyBackupProvider
        ?: error("no KeyBackup is open, and the Application does not implement KeyBackupProvider")
}
