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
 * The keys of a room, each once, read from the vault while they are collected. Those that cannot be opened are left out.
 * The flow throws `LookupException`.
 */
public fun KeyBackup.roomKeys(roomId: String): Flow<RoomKey> =
    pages { after -> client.roomKeys(roomId, after, KEYS_OF_A_PAGE).let { it.keys to it.next } }

/**
 * What arrived after [cursor], page by page and in the order of arrival, up to now. Keep [ArrivedPage.next] of the last
 * page that was dealt with, where the app keeps its own state. The flow throws `StatusException`.
 */
public fun KeyBackup.arrivedSince(cursor: ArrivalCursor = ArrivalCursor()): Flow<ArrivedPage> = flow {
    var next = cursor
    do {
        val page = download.arrivedSince(next, NAMES_OF_A_PAGE)
        if (page.arrived.isNotEmpty()) emit(page)
        next = page.next
    } while (page.more)
}

/** The entries that failed for [reason]. The flow throws `StatusException`. */
public fun KeyBackup.failures(reason: FailureReason): Flow<EntryRef> =
    pages { after -> download.failures(reason, after, NAMES_OF_A_PAGE).let { it.entries to it.next } }

/** The copies of keys that are held back, each with the one that counts in its place. The flow throws `StatusException`. */
public fun KeyBackup.conflicts(): Flow<KeyConflict> =
    pages { after -> download.conflicts(after, NAMES_OF_A_PAGE).let { it.conflicts to it.next } }

/** The keys that the sink refused, with its reasons. The flow throws `StatusException`. */
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
