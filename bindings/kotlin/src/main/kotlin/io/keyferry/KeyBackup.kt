package io.keyferry

import java.io.File
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.time.Duration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asSharedFlow
import kotlinx.coroutines.withContext

private const val KEYS_OF_A_PAGE = 500u
private const val NAMES_OF_A_PAGE = 2_000u

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
 * [KeyBackupApi] says what each function does. On Android, open it by `KeyBackup.open(context, account)` of the package
 * `keyferry-android`.
 */
public class KeyBackup private constructor(
    private val client: KeyBackupClient,
    private val callbacks: HostCallbacks,
    private val runs: Runs,
    private val reset: ResetCalls,
    upload: UploadCalls,
) : KeyBackupApi, BackupResetApi by reset, KeyUploadApi by upload {
    private val download: KeyDownload = client.download()

    override val progress: StateFlow<DownloadProgress> = callbacks.runs.progress
    override val state: StateFlow<KeyBackupState> = callbacks.runs.state
    override val arrivals: SharedFlow<List<ArrivedRoomKeys>> = callbacks.arrivals.asSharedFlow()
    override val conflictNotices: SharedFlow<ConflictNotice> = callbacks.conflictNotices.asSharedFlow()
    override val preference: BackupPreferenceApi = BackupPreference(client.preference(), callbacks)

    private val causes = Causes(download)
    private val endings = ConcurrentLinkedQueue<() -> Unit>()

    override suspend fun unlock(secret: UnlockSecret): UnlockedBackup = client.unlock(secret).also { showStatus() }

    override suspend fun run(budget: Duration?): RunReport =
        runs.run(RunReport::holder) { callbacks.runs.during { download.run(budget.toRunBudget()) } }

    override suspend fun work(purpose: WakeUpPurpose, budget: Duration?): WorkOutcome = when (purpose) {
        WakeUpPurpose.DOWNLOAD -> {
            val ended = inGrantedTime(purpose) { runs.inTurn(budget, RunReport::holder, ::run) }
            ended?.let { (report, wakeUp) -> WorkOutcome.after(report.outcome, wakeUp ?: report.wakeUp) }
        }
        WakeUpPurpose.RESET -> {
            val ended = inGrantedTime(purpose) { runs.inTurn(budget, ResetReport::holder, ::runReset) }
            ended?.let { (report, wakeUp) -> WorkOutcome.after(report.outcome, wakeUp ?: report.wakeUp) }
        }
        WakeUpPurpose.UPLOAD -> {
            val ended = inGrantedTime(purpose) { runs.inTurn(budget, UploadReport::holder, ::flushUploads) }
            ended?.let { (report, wakeUp) -> WorkOutcome.after(report.outcome, wakeUp ?: report.wakeUp) }
        }
        WakeUpPurpose.PREFERENCE_WRITE -> {
            val ended = callbacks.heldWakeUps.during(purpose) { preference.writePending(budget) }
            ended?.let { (outcome, wakeUp) -> wakeUp?.let { WorkOutcome.Retry(it) } ?: outcome }
        }
        // Another call is at work for this purpose, and asks for the next wake-up.
    } ?: WorkOutcome.Success

    private suspend fun <T> inGrantedTime(purpose: WakeUpPurpose, work: suspend () -> T): Pair<T, WakeUp?>? =
        callbacks.heldWakeUps.during(purpose) { causes.inGrantedTime(work) }

    override suspend fun status(): DownloadStatus = download.status()

    override suspend fun pause(cause: PauseCause) {
        causes.pause(cause)
        // These two close the vault, so it is not read.
        if (cause != PauseCause.TIME_EXPIRING && cause != PauseCause.STORAGE_LOCKED) showStatus()
    }

    override suspend fun resume(cause: PauseCause) {
        causes.resume(cause)
        showStatus()
    }

    override suspend fun stop() {
        download.stop()
        showStatus()
    }

    override suspend fun start() {
        download.start()
        showStatus()
    }

    /** Shows a change that was made between runs. */
    private suspend fun showStatus(): Unit = callbacks.runs.follow(download)

    override suspend fun awaitQuiescent(): Unit = download.awaitQuiescent()

    override fun setPolicy(policy: DownloadPolicy): Unit = download.setPolicy(policy)

    override suspend fun findRoomKey(roomId: String, sessionId: String): RoomKeyLookup =
        client.findRoomKey(roomId, sessionId)

    override suspend fun fetchSession(roomId: String, sessionId: String, betterThan: UInt?): RoomKeyLookup =
        client.fetchSession(roomId, sessionId, betterThan)

    override suspend fun fetchRoom(roomId: String): RoomFetch = client.fetchRoom(roomId)

    override suspend fun refresh(): ServerNews = client.refresh()

    override suspend fun prioritiseRooms(roomIds: List<String>): Unit = download.prioritiseRooms(roomIds)

    override suspend fun proveRoomKey(roomId: String, sessionId: String, eventJson: String): KeyProof =
        client.proveRoomKey(roomId, sessionId, eventJson)

    override suspend fun roomHistoryShareability(roomId: String): RoomHistoryShareability =
        client.roomHistoryShareability(roomId)

    override suspend fun closeLookups(): Unit = client.closeLookups()

    override fun roomKeys(roomId: String): Flow<RoomKey> =
        pages { after -> client.roomKeys(roomId, after, KEYS_OF_A_PAGE).let { it.keys to it.next } }

    override fun arrivedSince(cursor: ArrivalCursor): Flow<ArrivedPage> =
        arrivedPages(cursor) { after -> download.arrivedSince(after, NAMES_OF_A_PAGE) }

    override fun failures(reason: FailureReason): Flow<EntryRef> =
        pages { after -> download.failures(reason, after, NAMES_OF_A_PAGE).let { it.entries to it.next } }

    override fun conflicts(): Flow<KeyConflict> =
        pages { after -> download.conflicts(after, NAMES_OF_A_PAGE).let { it.conflicts to it.next } }

    override fun refusals(): Flow<RefusedEntry> =
        pages { after -> download.refusals(after, NAMES_OF_A_PAGE).let { it.entries to it.next } }

    override suspend fun includeVersion(version: String): Unit = download.includeVersion(version)

    override suspend fun acceptShortfall(version: String, publicKey: String, most: ULong): Boolean =
        download.acceptShortfall(version, publicKey, most)

    override suspend fun giveUpVersion(version: String): Boolean = download.giveUpVersion(version)

    override suspend fun cryptoStoreWasReplaced(): Unit = download.cryptoStoreWasReplaced()

    override suspend fun exportRoomKeys(passphrase: String, file: File): ExportSummary =
        client.exportRoomKeys(passphrase, file.path)

    override fun close() {
        // This comes first, so that nobody gets a backup that is closed.
        generateSequence { endings.poll() }.forEach { it() }
        client.shutdown()
    }

    /** Calls [action] once when this is closed: for what lives as long as the backup, such as its `PhoneConditions`. */
    public fun onClose(action: () -> Unit) {
        endings += action
    }

    public companion object {
        /**
         * Opens the vault of an account, or creates it. Makes no request.
         *
         * @param options the account, and where and how its vault is kept. The limit on metered networks in
         *   `download` has no effect on a run before the app reports `METERED_NETWORK`: see [setPolicy]
         * @param accessToken returns the account's access token, a refreshed one for
         *   [TokenRequest.PREVIOUS_REJECTED]. It is called before every request and its result is never kept. It must
         *   not wait for a call into this backup. If it throws `HostException.SignedOut`, the account counts as signed
         *   out; after any other exception, such as a refresh without network, it is asked again later
         * @param roomsByPriority returns the rooms that the app knows, the most wanted first. Without it, the
         *   server's list of joined rooms counts
         * @param resolvePreferenceConflict asks the user which choice counts if this device and another one differ.
         *   An exception counts as [PreferenceResolution.ASK_LATER]
         * @param scheduleWakeUp asks the OS for one wake-up of that purpose in place of the last one; `null` cancels
         *   it. On the wake-up, call [work]. It must not wait for a call into this backup. Without it the app
         *   decides itself when to call [KeyBackup.run], [KeyBackup.runReset], [KeyBackup.flushUploads] and
         *   [BackupPreferenceApi.flush]
         * @param sink takes the keys into the app's crypto: see [roomKeySink]. Without one, keys are only kept for
         *   look-ups
         * @param transport sends HTTP requests; pass an [OkHttpTransport] with the app's own OkHttp client
         * @param secretKeeper writes to secret storage. Needed to reset the backup, together with the next two. These
         *   three take the place of those in [options]
         * @param backupSigner signs a new backup version
         * @param roomKeySource gives out the keys of the app's crypto. Alone it is enough to keep an existing backup up
         *   to date
         * @throws OpenException if the options are invalid or the vault cannot be opened;
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
            secretKeeper: SecretKeeper? = null,
            backupSigner: BackupSigner? = null,
            roomKeySource: RoomKeySource? = null,
        ): KeyBackup = withContext(Dispatchers.IO) { // The first call loads the library, which takes a while.
            val callbacks = HostCallbacks(accessToken, roomsByPriority, resolvePreferenceConflict, scheduleWakeUp)
            val withCrypto = options.with(secretKeeper, backupSigner, roomKeySource)
            val client = KeyBackupClient.open(withCrypto, transport, callbacks, sink?.let(::OneAtATimeSink))
            val backup = of(client, callbacks)
            try {
                callbacks.runs.show(backup.status())
                backup.reset.showProgress()
            } catch (_: AccessException) {
                // These are only the first values of the flows; a run will report the failure.
            } catch (cancelled: CancellationException) {
                backup.close()
                throw cancelled
            }
            backup
        }

        private fun of(client: KeyBackupClient, callbacks: HostCallbacks): KeyBackup {
            val download = client.download()
            val runs = Runs(download)
            val reset = ResetCalls(client.reset(), download, callbacks, runs)
            return KeyBackup(client, callbacks, runs, reset, UploadCalls(client.upload(), runs))
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
         * @throws OpenException `VaultInUse` while the vault is in use, `UnusableDataDir` if
         *   it cannot be moved
         */
        public suspend fun setVaultAside(directory: File): File? =
            io.keyferry.setVaultAside(directory.path)?.let(::File)
    }
}
