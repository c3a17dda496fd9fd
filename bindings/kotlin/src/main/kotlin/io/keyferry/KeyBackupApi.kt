package io.keyferry

import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow

/**
 * The key backup of one signed-in account. [KeyBackup] is the implementation. An app that holds one as this interface
 * can pass a `FakeKeyBackup` (package `keyferry-testing`) in its own tests and previews.
 *
 * Every failure has a type of exception: match on it. The message is a sentence for logs, and leaves out the data
 * that the exception holds, such as the detail of a callback's failure. Only the reason for which the app's crypto
 * refuses is in it.
 */
public interface KeyBackupApi : BackupResetApi, KeyUploadApi, AutoCloseable {
    /**
     * How far the download is: at first what the vault holds, then the figures of a run under way, at most ten times
     * a second and at every change of stage. A slow collector sees the latest value.
     */
    public val progress: StateFlow<DownloadProgress>

    /** What a screen shows: [progress], and what the download waits for. At first what the vault says. */
    public val state: StateFlow<KeyBackupState>

    /**
     * Keys that can be looked up now, and that the sink has taken if there is one: retry the messages on screen. This
     * is a hint, of which a slow collector misses some; [arrivedSince] is exact.
     */
    public val arrivals: SharedFlow<List<ArrivedRoomKeys>>

    /**
     * Reports that copies of keys are held back for a cause that is new in their backup version: someone may be
     * tampering with the backup. Emitted at least once for each version and cause; [conflicts] lists the copies. A
     * new collector gets the last notice at once.
     */
    public val conflictNotices: SharedFlow<ConflictNotice>

    /** The user's preference on whether room keys are backed up, which all their clients share (MSC4287). */
    public val preference: BackupPreferenceApi

    /**
     * Finds the decryption key of the backup by what the user typed or the app has, and keeps it for every version
     * that it opens. A restart needs no unlock then, unless the vault has no protection. May be called at any time,
     * also during a run, which then opens what it has fetched. A wrong key never replaces a good one.
     *
     * A decryption key, or a recovery key that is one, needs no network if the vault knows its version. A key or
     * passphrase of secret storage is looked up on the server, and a passphrase takes a second or more of key
     * derivation on a phone.
     *
     * @throws UnlockException if the secret is mistyped or opens no known version, or if the
     *   server or the vault cannot be reached
     */
    public suspend fun unlock(secret: UnlockSecret): UnlockedBackup

    /**
     * Fetches, opens and delivers keys until everything is done, [budget] is used up, or something is in the way; the
     * report says which. Nothing is lost, and the next run continues from there. In a worker, call [work] instead.
     *
     * Only one run works on a vault at a time, across all clients and processes; further ones return
     * [RunOutcome.AlreadyRunning] at once.
     *
     * Throws nothing but `CancellationException`. Cancelling the coroutine ends the run and waits for its end, a
     * fraction of a second; then the run holds no database, connection or thread. It never ends the run of another
     * caller.
     *
     * @param budget time after which the run returns by itself, of use from 1 second on; `null`: no limit
     */
    public suspend fun run(budget: Duration? = null): RunReport

    /**
     * Does the work of a wake-up: one run of the download or of the reset, one upload, or one attempt to write the
     * preference. Call it from a `CoroutineWorker`, or from whatever else the OS gives time to. On Android,
     * `KeyBackupWorker` (package `keyferry-android`) does so.
     *
     * While this is under way, `scheduleWakeUp` is not called for [purpose]: the outcome carries the last wake-up
     * instead, and the caller schedules that. A worker that is stopped or killed needs no new request, if its
     * scheduler runs it again as WorkManager does.
     *
     * The cause [PauseCause.IN_BACKGROUND] does not hold during this call, because the OS has granted its time. It
     * holds again afterwards if the app is still in the background.
     *
     * Cancelling the coroutine, as WorkManager does when it stops a worker, ends the run. The `CancellationException`
     * is rethrown when the run has ended, a fraction of a second later, and the next call for the same purpose waits
     * for that. So a process must have only one [KeyBackup] for an account.
     *
     * Throws nothing but `CancellationException`.
     *
     * @param purpose the purpose that `scheduleWakeUp` was called with
     * @param budget time after which the work returns by itself; less than the ten minutes that WorkManager gives a
     *   worker. `null`: no limit
     * @return what the worker should do next
     */
    public suspend fun work(purpose: WakeUpPurpose = WakeUpPurpose.DOWNLOAD, budget: Duration? = 9.minutes): WorkOutcome

    /**
     * Returns what the vault holds. Uses no network, and may be called during a run.
     *
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun status(): DownloadStatus

    /**
     * Holds the download, the reset and uploads for [cause] until [resume] is called with it. Several can hold at once;
     * `docs/background-execution.md` has a table of the work that each one stops. Returns when that work has stopped,
     * in a fraction of a second. Only the user's pause is kept over restarts.
     *
     * @throws AccessException if the user's pause cannot be kept over a restart; it holds
     *   until then nevertheless
     */
    public suspend fun pause(cause: PauseCause = PauseCause.USER)

    /**
     * Ends a [pause] for [cause]. If no other cause holds the download, a run under way continues, or a wake-up is
     * requested: also for a reset under way, and for an upload that was held since the backup was opened.
     *
     * @throws AccessException if the end of the user's pause cannot be written to the vault
     */
    public suspend fun resume(cause: PauseCause = PauseCause.USER)

    /**
     * Gives the download up until [start], also over restarts, and with it resets and uploads: a run under way ends,
     * the vault keeps what it has, and no wake-up is requested. Returns when the run has ended.
     *
     * @throws AccessException if the stop cannot be kept over a restart; it holds until then
     *   nevertheless
     */
    public suspend fun stop()

    /**
     * Ends a [stop], or a pause by the user, and requests a wake-up, as [resume] does.
     *
     * @throws AccessException if the vault cannot be written
     */
    public suspend fun start()

    /**
     * Waits until no run and no request of the download is at work and none of them holds a database, lock, connection
     * or thread. Ends nothing itself.
     */
    public suspend fun awaitQuiescent()

    /**
     * Changes what the download may use. A run under way follows at once. Values out of bounds are brought within
     * them.
     *
     * `meteredBytes` holds no run before the app reports [PauseCause.METERED_NETWORK] by [pause] and [resume], because
     * nothing here watches the network. Until then it only makes wake-ups ask for an unmetered network.
     * `docs/android.md` has code that reports it.
     */
    public fun setPolicy(policy: DownloadPolicy)

    /**
     * Looks a key up in the vault, without network. Costs about one decryption; the first call after
     * [KeyBackup.open] or [closeLookups] costs a little more. [fetchSession] also asks the server.
     *
     * @throws AccessException if the vault cannot be read; `Locked` if the entry is there and
     *   its version is not unlocked
     */
    public suspend fun findRoomKey(roomId: String, sessionId: String): RoomKeyLookup

    /**
     * Gets the key of a message that cannot be decrypted right now: from the vault, or else from the server. Costs one
     * request, or two or three if the server does not have the key. `NotFound` is remembered for ten minutes, or until
     * the backup changes. Many calls may be made at once, also during a run; a key that several calls want is
     * requested once.
     *
     * ```
     * val lookup = backup.fetchSession(roomId, sessionId)
     * if (lookup is RoomKeyLookup.Found) decryptAgain(lookup.key)
     * ```
     *
     * @param roomId the room that the message is in
     * @param betterThan the first index of the app's copy of the key, for a message from before that index: a key that
     *   begins no earlier counts as `NotFound`. `null` if the app has no copy
     * @throws AccessException if the key could not be looked for: `Locked` until the backup
     *   is unlocked, `OnHold` while a [pause] stops requests, `Unreachable` and others for failures of the server or
     *   the vault
     */
    public suspend fun fetchSession(roomId: String, sessionId: String, betterThan: UInt? = null): RoomKeyLookup

    /**
     * Fetches all keys of a room that are not in the vault. They can be looked up when this returns; the sink gets
     * them in a run.
     *
     * @throws AccessException if not all of them could be fetched; every entry that arrived
     *   before is kept
     */
    public suspend fun fetchRoom(roomId: String): RoomFetch

    /**
     * Asks the server, by one small request, whether it has anything new. If it has, a wake-up is requested.
     *
     * @throws AccessException if the server could not be asked
     */
    public suspend fun refresh(): ServerNews

    /**
     * Moves these rooms to the front, the first one first: they are fetched, opened and delivered before all others,
     * at once during a run, otherwise in the next run. Only the first 1,000 of a call count.
     *
     * @throws AccessException if the vault cannot be written; a run under way follows
     *   nevertheless
     */
    public suspend fun prioritiseRooms(roomIds: List<String>)

    /**
     * Tries the vault's copies of a session on an encrypted event. A copy is proved genuine if it decrypts the event
     * and the plaintext names the room; look-ups, the sink and exports then prefer it to all others. Call it if a
     * session that [conflicts] lists has failed to decrypt a message.
     *
     * @param eventJson the JSON of the event, or of its content, as the server sent it; at most 256 KiB
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun proveRoomKey(roomId: String, sessionId: String, eventJson: String): KeyProof

    /**
     * Counts the keys of a room that may be shared with people who are invited later (MSC4268), those that may not,
     * and those for which that is not known yet. Leaves out keys that can never be opened. Needs no network and no
     * unlock.
     *
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun roomHistoryShareability(roomId: String): RoomHistoryShareability

    /**
     * Closes the database that look-ups keep open, and wipes the decryption keys that they hold in memory. Call it
     * before the app goes to the background; the next look-up opens it again.
     */
    public suspend fun closeLookups()

    /**
     * Returns the keys of a room, each once. They are read from the vault while they are collected, 500 at a time.
     * Keys that cannot be opened are left out.
     *
     * The flow throws [AccessException] if the vault cannot be read or the backup is not unlocked.
     */
    public fun roomKeys(roomId: String): Flow<RoomKey>

    /**
     * Returns the keys that arrived after [cursor] and up to now, in the order of arrival, in pages of at most 2,000.
     * No key is left out, and none comes twice unless the backup has got a better copy of it. Keep [ArrivedPage.next]
     * of the last page that was handled with the app's own state.
     *
     * ```
     * backup.arrivedSince(state.cursor).collect { page ->
     *     retryMessages(page.arrived)
     *     state.cursor = page.next
     * }
     * ```
     *
     * The flow throws [AccessException] if the vault cannot be read.
     */
    public fun arrivedSince(cursor: ArrivalCursor = ArrivalCursor()): Flow<ArrivedPage>

    /** Returns the entries that failed for [reason]. The flow throws [AccessException] if the vault cannot be read. */
    public fun failures(reason: FailureReason): Flow<EntryRef>

    /**
     * Returns the copies of keys that are held back, each with the copy that counts in its place. The server, or
     * someone who can write to the backup, may be moving or forging keys: see [proveRoomKey].
     *
     * The flow throws [AccessException] if the vault cannot be read.
     */
    public fun conflicts(): Flow<KeyConflict>

    /**
     * Returns the keys that the sink refused, with its reasons. The flow throws [AccessException] if the vault cannot
     * be read.
     */
    public fun refusals(): Flow<RefusedEntry>

    /**
     * Fetches the backup version with this number for as long as the server has it, whichever version is current. Use
     * it for a number that the app knows from its own crypto store. Requests a wake-up. Does nothing for a text that
     * cannot be a version (empty, `.`, `..`, or over 128 characters).
     *
     * @throws AccessException if the vault cannot be written
     */
    public suspend fun includeVersion(version: String)

    /**
     * Accepts that the server does not return all the keys that it counts in a version. If at most [most] are missing,
     * the outcome of a run is `Completed` and says how many are.
     *
     * @param publicKey the public key of the version, from `VersionStatus`: version numbers can repeat
     * @param most how many keys may be missing; 0 withdraws the acceptance
     * @return `false` if the vault knows no such version with that public key
     * @throws AccessException if the vault cannot be written
     */
    public suspend fun acceptShortfall(version: String, publicKey: String, most: ULong): Boolean

    /**
     * Gives up a version that the user cannot unlock: outcomes no longer name it. Its fetched entries stay in the
     * vault, still encrypted, and a later unlock takes it up again.
     *
     * @return `false` if the vault knows no version of that number
     * @throws AccessException if the vault cannot be written
     */
    public suspend fun giveUpVersion(version: String): Boolean

    /**
     * Notes that the app's crypto store has been replaced by an empty one: every key is delivered to the sink again. The
     * vault keeps its keys; those that its policy has removed are fetched again.
     *
     * @throws AccessException if the vault cannot be written
     */
    public suspend fun cryptoStoreWasReplaced()

    /**
     * Writes every key of the vault to an encrypted key export file, as Element imports it (client-server API, "Key
     * export format"). Deriving its key takes 500,000 rounds. Fetched entries that are not opened yet are opened for
     * it. The file appears whole or not at all: cancelling the coroutine leaves none. One export at a time: another
     * one waits.
     *
     * @throws ExportException if the passphrase is empty, the file cannot be written, or the
     *   vault cannot be read
     */
    public suspend fun exportRoomKeys(passphrase: String, file: File): ExportSummary

    /**
     * Ends everything, wipes keys from memory and releases the callbacks, for good. Call it when the account signs
     * out, and before [setVaultAside]; it is not needed after a run. May be called more than once. The vault stays on
     * disk.
     *
     * Later calls throw a `ShutDown` exception; an export throws `Cancelled`, and a run returns [RunOutcome.Paused]
     * without causes.
     */
    override fun close()
}
