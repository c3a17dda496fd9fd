package org.matrix.keyferry

import kotlin.time.Duration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asSharedFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.flow
import org.matrix.keyferry.ffi.ArrivedRoomKeys
import org.matrix.keyferry.ffi.ClientOptions
import org.matrix.keyferry.ffi.DownloadProgress
import org.matrix.keyferry.ffi.HttpTransport
import org.matrix.keyferry.ffi.KeyBackupClient
import org.matrix.keyferry.ffi.RoomKey
import org.matrix.keyferry.ffi.RoomKeyLookup
import org.matrix.keyferry.ffi.RoomKeySink
import org.matrix.keyferry.ffi.RunBudget
import org.matrix.keyferry.ffi.RunReport
import org.matrix.keyferry.ffi.TokenRequest
import org.matrix.keyferry.ffi.UnlockSecret
import org.matrix.keyferry.ffi.UnlockedBackup

/** Keys of a page of [KeyBackup.roomKeys]. */
private const val PAGE_KEYS = 500u

/**
 * The key backup of one signed-in account. Open it once and keep it; [close] it when the account signs out.
 *
 * What is not here is on [client].
 */
class KeyBackup private constructor(
    /** The client below, for everything else. */
    val client: KeyBackupClient,
    private val callbacks: HostCallbacks,
) : AutoCloseable {
    private val download = client.download()

    /** How far the run is; `null` before the first one. Conflated: a slow collector sees the latest. */
    val progress: StateFlow<DownloadProgress?> = callbacks.progress.asStateFlow()

    /** Keys that can be looked up now. A hint; `client.download().arrivedSince` is exact. */
    val arrivals: SharedFlow<List<ArrivedRoomKeys>> = callbacks.arrivals.asSharedFlow()

    /** Unlocks the backup with what the user typed, or what the app has. Throws `UnlockException`. */
    suspend fun unlock(secret: UnlockSecret): UnlockedBackup = client.unlock(secret)

    /**
     * Fetches, opens and delivers until everything is done, the [budget] is used up, or something is in the way.
     * Cancelling the coroutine pauses the run.
     */
    suspend fun run(budget: Duration? = null): RunReport = try {
        download.run(RunBudget(budget?.inWholeMilliseconds?.toULong()))
    } catch (cancelled: CancellationException) {
        download.pause()
        throw cancelled
    }

    /** Makes a run return soon. */
    fun pause() = download.pause()

    /** Looks a key up in the vault, offline. Throws `LookupException`. */
    suspend fun findRoomKey(roomId: String, sessionId: String): RoomKeyLookup = client.findRoomKey(roomId, sessionId)

    /** All keys of a room, page by page as they are collected. */
    fun roomKeys(roomId: String): Flow<RoomKey> = flow {
        var after: Long? = null
        do {
            val page = client.roomKeys(roomId, after, PAGE_KEYS)
            page.keys.forEach { emit(it) }
            after = page.next
        } while (after != null)
    }

    /** Ends everything and frees the callbacks. The vault stays on disk. */
    override fun close() {
        client.shutdown()
        download.destroy()
        client.destroy()
    }

    companion object {
        /**
         * Opens the vault of an account, or makes one; does not touch the network. Throws `OpenException`.
         *
         * @param accessToken gives the access token, refreshed if the last one was rejected
         * @param roomsByPriority the rooms that the app knows, the most wanted first
         * @param sink takes the keys into the app's crypto; without one they are only looked up
         */
        suspend fun open(
            options: ClientOptions,
            accessToken: suspend (TokenRequest) -> String,
            roomsByPriority: suspend () -> List<String> = { emptyList() },
            sink: RoomKeySink? = null,
            transport: HttpTransport = OkHttpTransport(),
        ): KeyBackup {
            val callbacks = HostCallbacks(accessToken, roomsByPriority)
            return KeyBackup(KeyBackupClient.open(options, transport, callbacks, sink), callbacks)
        }
    }
}
