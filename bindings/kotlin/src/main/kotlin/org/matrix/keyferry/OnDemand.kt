package org.matrix.keyferry

import org.matrix.keyferry.ffi.RoomFetch
import org.matrix.keyferry.ffi.RoomKeyLookup
import org.matrix.keyferry.ffi.ServerNews

/**
 * Gets the key of a message that cannot be decrypted right now: from the vault, or else from the server. Costs one
 * request, or two or three if the server does not have the key. `NotFound` is remembered for ten minutes, or until
 * the backup changes. Many calls may be made at once, also during a run; a key that several calls want is requested
 * once.
 *
 * ```
 * val lookup = backup.fetchSession(roomId, sessionId)
 * if (lookup is RoomKeyLookup.Found) decryptAgain(lookup.key)
 * ```
 *
 * @param roomId the room that the message is in
 * @param betterThan the first index of the app's copy of the key, for a message from before that index: a key that
 *   begins no earlier counts as `NotFound`. `null` if the app has no copy
 * @throws org.matrix.keyferry.ffi.OnDemandException if the key could not be looked for: `Locked` until the backup is
 *   unlocked, `OnHold` while a [pause] stops requests, `Unreachable` and others for failures of the server or the
 *   vault
 */
public suspend fun KeyBackup.fetchSession(roomId: String, sessionId: String, betterThan: UInt? = null): RoomKeyLookup =
    client.fetchSession(roomId, sessionId, betterThan)

/**
 * Fetches all keys of a room that are not in the vault. They can be looked up when this returns; the sink gets them
 * in a run.
 *
 * @throws org.matrix.keyferry.ffi.OnDemandException if not all of them could be fetched; every entry that arrived
 *   before is kept
 */
public suspend fun KeyBackup.fetchRoom(roomId: String): RoomFetch = client.fetchRoom(roomId)

/**
 * Asks the server, by one small request, whether it has anything new. If it has, a wake-up is requested.
 *
 * @throws org.matrix.keyferry.ffi.OnDemandException if the server could not be asked
 */
public suspend fun KeyBackup.refresh(): ServerNews = client.refresh()

/**
 * Moves these rooms to the front, the first one first: they are fetched, opened and delivered before all others, at
 * once during a run, otherwise in the next run. Only the first 1,000 of a call count.
 *
 * @throws org.matrix.keyferry.ffi.StatusException if the vault cannot be written; a run under way follows
 *   nevertheless
 */
public suspend fun KeyBackup.prioritiseRooms(roomIds: List<String>) {
    download.prioritiseRooms(roomIds)
}
