package org.matrix.keyferry

import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asSharedFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import org.matrix.keyferry.ffi.ArrivedRoomKeys
import org.matrix.keyferry.ffi.ClientOptions
import org.matrix.keyferry.ffi.ConflictNotice
import org.matrix.keyferry.ffi.DownloadProgress
import org.matrix.keyferry.ffi.DownloadStatus
import org.matrix.keyferry.ffi.ExportSummary
import org.matrix.keyferry.ffi.HttpTransport
import org.matrix.keyferry.ffi.KeyBackupClient
import org.matrix.keyferry.ffi.KeyProof
import org.matrix.keyferry.ffi.KeyDownload
import org.matrix.keyferry.ffi.PreferenceConflict
import org.matrix.keyferry.ffi.PreferenceResolution
import org.matrix.keyferry.ffi.RoomHistoryShareability
import org.matrix.keyferry.ffi.RoomKeyLookup
import org.matrix.keyferry.ffi.RoomKeySink
import org.matrix.keyferry.ffi.RunOutcome
import org.matrix.keyferry.ffi.RunReport
import org.matrix.keyferry.ffi.StatusException
import org.matrix.keyferry.ffi.TokenRequest
import org.matrix.keyferry.ffi.UnlockSecret
import org.matrix.keyferry.ffi.UnlockedBackup
import org.matrix.keyferry.ffi.WakeUp
import org.matrix.keyferry.ffi.WakeUpPurpose

/** Time after which a cancelled run is told to end once more: it may not have begun the first time. */
private val A_MOMENT = 20.milliseconds

/**
 * The key backup of one signed-in account.
 *
 * Open it once in a process and keep it: between calls it holds no connection, thread or database, except for the
 * database that look-ups keep open until [closeLookups]. [close] it when the account signs out.
 *
 * ```
 * val backup = KeyBackup.open(options, accessToken = { session.accessToken() }, sink = sink)
 * backup.unlock(UnlockSecret.RecoveryKey(typed))
 * val report = backup.run(budget = 9.minutes)
 * ```
 *
 * Every failure has a type of exception: match on it. The message is a sentence for logs, and leaves out the data
 * that the exception holds, such as the detail of a callback's failure.
 */
public class KeyBackup private constructor(
    /** The generated client that this class wraps, for calls that are missing here. */
    public val client: KeyBackupClient,
    internal val callbacks: HostCallbacks,
) : AutoCloseable {
    /** The generated download that this class wraps, for calls that are missing here. */
    public val download: KeyDownload = client.download()

    /**
     * How far the download is: at first what the vault holds, then the figures of a run under way, at most ten times
     * a second and at every change of stage. A slow collector sees the latest value.
     */
    public val progress: StateFlow<DownloadProgress> = callbacks.progress.asStateFlow()

    /**
     * Keys that can be looked up now, and that the sink has taken if there is one: retry the messages on screen. This
     * is a hint, of which a slow collector misses some; [arrivedSince] is exact.
     */
    public val arrivals: SharedFlow<List<ArrivedRoomKeys>> = callbacks.arrivals.asSharedFlow()

    /**
     * Reports that copies of keys are held back for a cause that is new in their backup version: someone may be
     * tampering with the backup. Emitted at least once for each version and cause; [conflicts] lists the copies. A
     * new collector gets the last notice at once.
     */
    public val conflictNotices: SharedFlow<ConflictNotice> = callbacks.conflictNotices.asSharedFlow()

    /** The user's preference on whether room keys are backed up, which all their clients share (MSC4287). */
    public val preference: BackupPreference = BackupPreference(client.preference(), callbacks)

    /** Separate from the caller's scope, so that a cancelled run can still end in order. */
    private val runs = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val underWay = CallsUnderWay()

    /**
     * Finds the decryption key of the backup by what the user typed or the app has, and keeps it for every version
     * that it opens. A restart needs no unlock then, unless the vault has no protection. May be called at any time,
     * also during a run, which then opens what it has fetched. A wrong key never replaces a good one.
     *
     * A decryption key, or a recovery key that is one, needs no network if the vault knows its version. A key or
     * passphrase of secret storage is looked up on the server, and a passphrase takes a second or more of key
     * derivation on a phone.
     *
     * @throws org.matrix.keyferry.ffi.UnlockException if the secret is mistyped or opens no known version, or if the
     *   server or the vault cannot be reached
     */
    public suspend fun unlock(secret: UnlockSecret): UnlockedBackup = client.unlock(secret)

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
    public suspend fun run(budget: Duration? = null): RunReport {
        val call = Any()
        // Undispatched: the run has begun when `async` returns, so that a pause cannot come before it.
        val run = runs.async(start = CoroutineStart.UNDISPATCHED) {
            underWay.during(call) { download.run(budget.toRunBudget()) }
        }
        try {
            return run.await()
        } catch (cancelled: CancellationException) {
            withContext(NonCancellable) {
                while (underWay.tryToEnd(call) { download.endRun() }) withTimeoutOrNull(A_MOMENT) { run.join() }
                val outcome = runCatching { run.await().outcome }.getOrNull()
                // Another caller's run is not waited for.
                if (outcome !is RunOutcome.AlreadyRunning) download.awaitQuiescent()
            }
            throw cancelled
        }
    }

    /**
     * Returns what the vault holds. Uses no network, and may be called during a run.
     *
     * @throws StatusException if the vault cannot be read
     */
    public suspend fun status(): DownloadStatus = download.status()

    /**
     * Looks a key up in the vault, without network. Costs about one decryption; the first call after [open] or
     * [closeLookups] costs a little more. [fetchSession] also asks the server.
     *
     * @throws org.matrix.keyferry.ffi.LookupException if the vault cannot be read; `Locked` if the entry is there and
     *   its version is not unlocked
     */
    public suspend fun findRoomKey(roomId: String, sessionId: String): RoomKeyLookup =
        client.findRoomKey(roomId, sessionId)

    /**
     * Tries the vault's copies of a session on an encrypted event. A copy is proved genuine if it decrypts the event
     * and the plaintext names the room; look-ups, the sink and exports then prefer it to all others. Call it if a
     * session that [conflicts] lists has failed to decrypt a message.
     *
     * @param eventJson the JSON of the event, or of its content, as the server sent it; at most 256 KiB
     * @throws org.matrix.keyferry.ffi.LookupException if the vault cannot be read
     */
    public suspend fun proveRoomKey(roomId: String, sessionId: String, eventJson: String): KeyProof =
        client.proveRoomKey(roomId, sessionId, eventJson)

    /**
     * Counts the keys of a room that may be shared with people who are invited later (MSC4268), those that may not,
     * and those for which that is not known yet. Leaves out keys that can never be opened. Needs no network and no
     * unlock.
     *
     * @throws org.matrix.keyferry.ffi.LookupException if the vault cannot be read
     */
    public suspend fun roomHistoryShareability(roomId: String): RoomHistoryShareability =
        client.roomHistoryShareability(roomId)

    /**
     * Closes the database that look-ups keep open, and wipes the decryption keys that they hold in memory. Call it
     * before the app goes to the background; the next look-up opens it again.
     */
    public suspend fun closeLookups() {
        client.closeLookups()
    }

    /**
     * Writes every key of the vault to an encrypted key export file, as Element imports it (client-server API, "Key
     * export format"). Deriving its key takes 500,000 rounds. Fetched entries that are not opened yet are opened for
     * it. The file appears whole or not at all: cancelling the coroutine leaves none. One export at a time: another
     * one waits.
     *
     * @throws org.matrix.keyferry.ffi.ExportException if the passphrase is empty, the file cannot be written, or the
     *   vault cannot be read
     */
    public suspend fun exportRoomKeys(passphrase: String, file: File): ExportSummary =
        client.exportRoomKeys(passphrase, file.path)

    /**
     * Ends everything, wipes keys from memory and releases the callbacks, for good. Call it when the account signs
     * out, and before [setVaultAside]; it is not needed after a run. May be called more than once. The vault stays on
     * disk.
     *
     * Later calls throw a `ShutDown` exception; an export throws `Cancelled`, and a run returns [RunOutcome.Paused]
     * without causes.
     */
    override fun close() {
        client.shutdown()
    }

    public companion object {
        /**
         * Opens the vault of an account, or creates it. Makes no request.
         *
         * @param options the account, and where and how its vault is kept. The limit on metered networks in
         *   `download` has no effect on a run before the app reports `METERED_NETWORK`: see [setPolicy]
         * @param accessToken returns the account's access token, a refreshed one for
         *   [TokenRequest.PREVIOUS_REJECTED]. It is called before every request and its result is never kept. It must
         *   not wait for a call into this backup. An exception counts as "not signed in"
         * @param roomsByPriority returns the rooms that the app knows, the most wanted first. Without it, the
         *   server's list of joined rooms counts
         * @param resolvePreferenceConflict asks the user which choice counts if this device and another one differ.
         *   An exception counts as [PreferenceResolution.ASK_LATER]
         * @param scheduleWakeUp asks the OS for one wake-up of that purpose in place of the last one; `null` cancels
         *   it. On the wake-up, call [work]; `WORKMANAGER.md` shows both. It must not wait for a call into this
         *   backup. Without it the app decides itself when to call [KeyBackup.run] and [BackupPreference.flush]
         * @param sink takes the keys into the app's crypto: see [roomKeySink]. Without one, keys are only kept for
         *   look-ups
         * @param transport sends HTTP requests; pass an [OkHttpTransport] with the app's own OkHttp client
         * @throws org.matrix.keyferry.ffi.OpenException if the options are invalid or the vault cannot be opened;
         *   nothing is left half made
         */
        public suspend fun open(
            options: ClientOptions,
            accessToken: suspend (TokenRequest) -> String,
            roomsByPriority: suspend () -> List<String> = { emptyList() },
            resolvePreferenceConflict: suspend (PreferenceConflict) -> PreferenceResolution =
                { PreferenceResolution.ASK_LATER },
            scheduleWakeUp: suspend (WakeUpPurpose, WakeUp?) -> Unit = { _, _ -> },
            sink: RoomKeySink? = null,
            transport: HttpTransport = OkHttpTransport(),
        ): KeyBackup {
            val callbacks = HostCallbacks(accessToken, roomsByPriority, resolvePreferenceConflict, scheduleWakeUp)
            val client = KeyBackupClient.open(options, transport, callbacks, sink?.let(::OneAtATimeSink))
            val backup = KeyBackup(client, callbacks)
            try {
                callbacks.progress.value = backup.status().toProgress()
            } catch (_: StatusException) {
                // This is only the first value of the flow; a run will report the failure.
            } catch (cancelled: CancellationException) {
                backup.close()
                throw cancelled
            }
            return backup
        }

        /**
         * Moves a vault that no longer opens (`OpenException.VaultDamaged`, or a keyring that has lost its key) out
         * of the way, so that [open] creates a new one. Nothing is deleted. Close every [KeyBackup] of that vault
         * first, in every process.
         *
         * The new vault fetches everything from the server again. It lacks keys that the server no longer has, the
         * decryption key (unlock again), and a preference that was not yet written.
         *
         * @return the place of the old vault, in the same directory, or `null` if there was no vault
         * @throws org.matrix.keyferry.ffi.OpenException `VaultInUse` while the vault is in use, `UnusableDataDir` if
         *   it cannot be moved
         */
        public suspend fun setVaultAside(directory: File): File? =
            org.matrix.keyferry.ffi.setVaultAside(directory.path)?.let(::File)
    }
}
