package org.matrix.keyferry

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import org.matrix.keyferry.ffi.ArrivalCursor
import org.matrix.keyferry.ffi.ArrivedPage
import org.matrix.keyferry.ffi.EntryRef
import org.matrix.keyferry.ffi.FailureReason
import org.matrix.keyferry.ffi.KeyConflict
import org.matrix.keyferry.ffi.RefusedEntry
import org.matrix.keyferry.ffi.RoomKey

private const val KEYS_OF_A_PAGE = 500u
private const val NAMES_OF_A_PAGE = 2_000u

/**
 * Returns the keys of a room, each once. They are read from the vault while they are collected, 500 at a time. Keys
 * that cannot be opened are left out.
 *
 * The flow throws `LookupException` if the vault cannot be read or the backup is not unlocked.
 */
public fun KeyBackup.roomKeys(roomId: String): Flow<RoomKey> =
    pages { after -> client.roomKeys(roomId, after, KEYS_OF_A_PAGE).let { it.keys to it.next } }

/**
 * Returns the keys that arrived after [cursor] and up to now, in the order of arrival, in pages of at most 2,000. No
 * key is left out, and none comes twice unless the backup has got a better copy of it. Keep [ArrivedPage.next] of the
 * last page that was handled with the app's own state.
 *
 * ```
 * backup.arrivedSince(state.cursor).collect { page ->
 *     retryMessages(page.arrived)
 *     state.cursor = page.next
 * }
 * ```
 *
 * The flow throws `StatusException` if the vault cannot be read.
 */
public fun KeyBackup.arrivedSince(cursor: ArrivalCursor = ArrivalCursor()): Flow<ArrivedPage> = flow {
    var next = cursor
    do {
        val page = download.arrivedSince(next, NAMES_OF_A_PAGE)
        if (page.arrived.isNotEmpty()) emit(page)
        next = page.next
    } while (page.more)
}

/** Returns the entries that failed for [reason]. The flow throws `StatusException` if the vault cannot be read. */
public fun KeyBackup.failures(reason: FailureReason): Flow<EntryRef> =
    pages { after -> download.failures(reason, after, NAMES_OF_A_PAGE).let { it.entries to it.next } }

/**
 * Returns the copies of keys that are held back, each with the copy that counts in its place. The server, or someone
 * who can write to the backup, may be moving or forging keys: see [proveRoomKey][KeyBackup.proveRoomKey].
 *
 * The flow throws `StatusException` if the vault cannot be read.
 */
public fun KeyBackup.conflicts(): Flow<KeyConflict> =
    pages { after -> download.conflicts(after, NAMES_OF_A_PAGE).let { it.conflicts to it.next } }

/**
 * Returns the keys that the sink refused, with its reasons. The flow throws `StatusException` if the vault cannot be
 * read.
 */
public fun KeyBackup.refusals(): Flow<RefusedEntry> =
    pages { after -> download.refusals(after, NAMES_OF_A_PAGE).let { it.entries to it.next } }

private fun <T> pages(read: suspend (after: Long?) -> Pair<List<T>, Long?>): Flow<T> = flow {
    var after: Long? = null
    do {
        val (items, next) = read(after)
        items.forEach { emit(it) }
        after = next
    } while (after != null)
}
