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

/** After which a run is told to end once more: the first time it may not have begun. */
private val A_MOMENT = 20.milliseconds

/**
 * The key backup of one signed-in account.
 *
 * Open it once in a process and keep it: while nothing is asked of it, it holds no database, connection or thread. [close] it
 * when the account signs out.
 *
 * What goes wrong is told by the type of the exception: match on it. The message is a sentence for logs. It leaves out what
 * the exception holds, such as the detail of a callback's failure.
 */
public class KeyBackup private constructor(
    /** The client below, for what is not here. */
    public val client: KeyBackupClient,
    internal val callbacks: HostCallbacks,
) : AutoCloseable {
    /** The download below, for what is not here. */
    public val download: KeyDownload = client.download()

    /** How far the download is: from the vault at first, then as a run gets on. A slow collector sees the latest value. */
    public val progress: StateFlow<DownloadProgress> = callbacks.progress.asStateFlow()

    /** Keys that can be looked up now: retry what is on screen. A hint; [arrivedSince] is exact. */
    public val arrivals: SharedFlow<List<ArrivedRoomKeys>> = callbacks.arrivals.asSharedFlow()

    /**
     * Copies of keys are held back for a cause that a backup version had none for before: somebody may be tampering with it.
     * Told once for each version and cause, at least; [conflicts] lists them. The last one is repeated to who comes later.
     */
    public val conflictNotices: SharedFlow<ConflictNotice> = callbacks.conflictNotices.asSharedFlow()

    /** Whether the user wants room keys to be backed up, as all their clients share it. */
    public val preference: BackupPreference = BackupPreference(client.preference(), callbacks)

    /** Not the caller's scope: a run that is cancelled comes to its end, and is not torn off. */
    private val runs = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val underWay = CallsUnderWay()

    /** Unlocks the backup with what the user typed, or what the app has. Throws `UnlockException`. */
    public suspend fun unlock(secret: UnlockSecret): UnlockedBackup = client.unlock(secret)

    /**
     * Fetches, opens and delivers until everything is done, the [budget] is used up, or something is in the way; the report
     * says which. Nothing is lost, and the next run goes on from there.
     *
     * Cancelling the coroutine ends the run and waits for its end, a fraction of a second. Then no database, connection or
     * thread of it is busy. Where somebody else's run is at work, cancelling this call ends nothing. In a worker call [work].
     */
    public suspend fun run(budget: Duration? = null): RunReport {
        val call = Any()
        // Undispatched: the run has begun when this returns, so that a pause cannot come before it.
        val run = runs.async(start = CoroutineStart.UNDISPATCHED) {
            underWay.during(call) { download.run(budget.toRunBudget()) }
        }
        try {
            return run.await()
        } catch (cancelled: CancellationException) {
            withContext(NonCancellable) {
                while (underWay.tryToEnd(call) { download.endRun() }) withTimeoutOrNull(A_MOMENT) { run.join() }
                val outcome = runCatching { run.await().outcome }.getOrNull()
                // Somebody else's run is not waited for.
                if (outcome !is RunOutcome.AlreadyRunning) download.awaitQuiescent()
            }
            throw cancelled
        }
    }

    /** What is in the vault, without network. Throws `StatusException`. */
    public suspend fun status(): DownloadStatus = download.status()

    /** Looks a key up in the vault, offline, for the price of one decryption. Throws `LookupException`. */
    public suspend fun findRoomKey(roomId: String, sessionId: String): RoomKeyLookup =
        client.findRoomKey(roomId, sessionId)

    /**
     * Tries the copies of a session on an encrypted event ([eventJson], the whole event or its content), and keeps which one
     * decrypts it: that one ranks before all others from then on. Call it where a key of a session that [conflicts] lists has
     * failed to decrypt a message. Throws `LookupException`.
     */
    public suspend fun proveRoomKey(roomId: String, sessionId: String, eventJson: String): KeyProof =
        client.proveRoomKey(roomId, sessionId, eventJson)

    /** How many keys of a room may be shared with people who are invited later (MSC4268). Throws `LookupException`. */
    public suspend fun roomHistoryShareability(roomId: String): RoomHistoryShareability =
        client.roomHistoryShareability(roomId)

    /** Gives up what look-ups keep open. Call it before the app goes to the background; the next one opens it again. */
    public suspend fun closeLookups() {
        client.closeLookups()
    }

    /** Writes an encrypted key export file, as Element imports it; cancelled it leaves none. Throws `ExportException`. */
    public suspend fun exportRoomKeys(passphrase: String, file: File): ExportSummary =
        client.exportRoomKeys(passphrase, file.path)

    /**
     * Ends everything and frees the callbacks, for good: when the account signs out, and before [setVaultAside]. Not after a
     * run: nothing is open then. The vault stays on disk; what is called later answers `ShutDown`.
     */
    override fun close() {
        client.shutdown()
    }

    public companion object {
        /**
         * Opens the vault of an account, or makes one; does not touch the network. Throws `OpenException`.
         *
         * @param options whose backup it is, and where and how it is kept. What `download` says of metered networks holds no
         *   run before the app reports `METERED_NETWORK`: see [setPolicy]
         * @param accessToken gives the access token; a refreshed one if the last was rejected
         * @param roomsByPriority the rooms that the app knows, the most wanted first
         * @param resolvePreferenceConflict asks the user which choice counts, when this and another device differ
         * @param scheduleWakeUp asks the OS for one wake-up of that purpose, in the place of the last; `null` cancels it.
         *   When it comes, call [work]. Without it the app itself calls `run`, and `flush` of the preference
         * @param sink takes the keys into the app's crypto; without one they are only kept and looked up
         * @param transport speaks HTTP; give [OkHttpTransport] the app's own OkHttp client
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
                // Only the first value of the flow: a run will say what is in the way.
            } catch (cancelled: CancellationException) {
                backup.close()
                throw cancelled
            }
            return backup
        }

        /**
         * Moves a vault that does not open any more (`OpenException.VaultDamaged`, or a keyring that has lost its key) out of
         * the way, so that [open] makes a new one. Nothing is deleted: returns where it lies now, or `null` if there was none.
         * Close every [KeyBackup] of it first, in every process. Throws `OpenException`: `VaultInUse` while somebody is at work
         * on it.
         */
        public suspend fun setVaultAside(directory: File): File? =
            org.matrix.keyferry.ffi.setVaultAside(directory.path)?.let(::File)
    }
}
