package org.matrix.keyferry

import org.matrix.keyferry.ffi.RoomFetch
import org.matrix.keyferry.ffi.RoomKeyLookup
import org.matrix.keyferry.ffi.ServerNews

/**
 * The key of a message that cannot be decrypted right now: from the vault, else from the server. Name the room that the
 * message is in. Where the app has the key, but not from so early on, [betterThan] is the first index that it has: a key that
 * begins no earlier is `NotFound` then. Many may ask at once, beside a run too. Throws `OnDemandException`.
 */
public suspend fun KeyBackup.fetchSession(roomId: String, sessionId: String, betterThan: UInt? = null): RoomKeyLookup =
    client.fetchSession(roomId, sessionId, betterThan)

/**
 * Gets all keys of a room that are not in the vault. They can be looked up when this returns; the sink gets them in a run.
 * Throws `OnDemandException`; what arrived before is kept.
 */
public suspend fun KeyBackup.fetchRoom(roomId: String): RoomFetch = client.fetchRoom(roomId)

/**
 * Asks, with one small request, whether the server has anything new; if it has, a wake-up is asked for. Throws
 * `OnDemandException`.
 */
public suspend fun KeyBackup.refresh(): ServerNews = client.refresh()

/**
 * Moves these rooms to the front, the first of them first: at once in a run under way, else in the next one. At most 1,000
 * at a time. Throws `StatusException` if that cannot be kept; a run under way follows nevertheless.
 */
public suspend fun KeyBackup.prioritiseRooms(roomIds: List<String>) {
    download.prioritiseRooms(roomIds)
}
