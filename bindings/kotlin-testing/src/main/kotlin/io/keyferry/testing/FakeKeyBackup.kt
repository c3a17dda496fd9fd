package io.keyferry.testing

import io.keyferry.ArrivalCursor
import io.keyferry.ArrivedPage
import io.keyferry.ArrivedRoomKeys
import io.keyferry.BackupResetApi
import io.keyferry.ConflictNotice
import io.keyferry.DownloadPolicy
import io.keyferry.DownloadProgress
import io.keyferry.DownloadStage
import io.keyferry.DownloadStatus
import io.keyferry.DownloadSummary
import io.keyferry.EntryRef
import io.keyferry.ExportSummary
import io.keyferry.FailureReason
import io.keyferry.KeyBackupApi
import io.keyferry.KeyBackupState
import io.keyferry.KeyConflict
import io.keyferry.KeyProof
import io.keyferry.KeyUploadApi
import io.keyferry.PauseCause
import io.keyferry.RefusedEntry
import io.keyferry.RoomFetch
import io.keyferry.RoomHistoryShareability
import io.keyferry.RoomKey
import io.keyferry.RoomKeyLookup
import io.keyferry.RunOutcome
import io.keyferry.RunReport
import io.keyferry.ServerNews
import io.keyferry.UnlockException
import io.keyferry.UnlockSecret
import io.keyferry.UnlockedBackup
import io.keyferry.WakeUpPurpose
import io.keyferry.WorkOutcome
import java.io.File
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flowOf
import kotlinx.coroutines.flow.update

internal const val VERSION: String = "1"

/**
 * A key backup that follows a script: for tests and previews of apps. It has no server, no vault and no library.
 *
 * ```
 * val backup = FakeKeyBackup(FakeRun.ofKeys(1_000u), recoveryKey = "EsTc …")
 * backup.keys += RoomKey(…)                      // look-ups find it
 * backup.failNext(AccessException.VaultInaccessible())        // the next call that can fail throws it
 * backup.upload.waiting = 3u                     // keys that wait to be uploaded
 * ```
 *
 * @param runs what the runs do, one after the other; the last one is repeated. A run that finds a pause cause, or meets
 *   one on its way, ends as paused, and the next run does the same one again
 * @param recoveryKey the recovery key that [unlock] takes; any other one is wrong. `null`: every secret is right
 */
public class FakeKeyBackup private constructor(
    runs: List<FakeRun>,
    private val recoveryKey: String?,
    private val core: FakeCore,
    /** What the calls about a reset answer. */
    public val reset: FakeBackupReset,
    /** What the calls about uploads answer. */
    public val upload: FakeKeyUpload,
) : KeyBackupApi, BackupResetApi by reset, KeyUploadApi by upload {
    private val script = ArrayDeque(runs)

    /** The keys that look-ups find. */
    public val keys: MutableList<RoomKey> = CopyOnWriteArrayList()

    /** The causes that hold the download now. */
    public val causes: MutableStateFlow<Set<PauseCause>> = core.causes

    /** The calls that were made, by the name of the function. */
    public val calls: MutableList<String> = core.calls

    /** Whether [close] has been called. */
    public var isClosed: Boolean = false
        private set

    /** The policy that was set last. */
    public var policy: DownloadPolicy = DownloadPolicy()
        private set

    private var isUnlocked = false

    override val progress: MutableStateFlow<DownloadProgress> = MutableStateFlow(fakeProgress())
    override val state: MutableStateFlow<KeyBackupState> = MutableStateFlow(KeyBackupState.Idle(fakeProgress()))
    override val arrivals: MutableSharedFlow<List<ArrivedRoomKeys>> = MutableSharedFlow(extraBufferCapacity = 64)
    override val conflictNotices: MutableSharedFlow<ConflictNotice> = MutableSharedFlow(replay = 1)
    override val preference: FakeBackupPreference = FakeBackupPreference()

    public constructor(
        vararg runs: FakeRun = arrayOf(FakeRun(emptyList())),
        recoveryKey: String? = null,
    ) : this(runs.toList(), recoveryKey, FakeCore())

    private constructor(runs: List<FakeRun>, recoveryKey: String?, core: FakeCore) :
        this(runs, recoveryKey, core, FakeBackupReset(core), FakeKeyUpload(core))

    /** Makes the next call that can fail throw this, and the call after it the next one that is passed here. */
    public fun failNext(failure: Exception) {
        core.failures += failure
    }

    override suspend fun unlock(secret: UnlockSecret): UnlockedBackup = called("unlock") {
        val typed = (secret as? UnlockSecret.RecoveryKey)?.text
        if (recoveryKey != null && typed != recoveryKey) throw UnlockException.WrongKey()
        isUnlocked = true
        UnlockedBackup(VERSION, progress.value.total, listOf(VERSION), restartNeedsRecoveryKey = false)
    }

    override suspend fun run(budget: Duration?): RunReport = called("run") {
        val run = script.first()
        for (now in run.progress) {
            if (held() != null) break
            progress.value = now
            state.value = KeyBackupState.Working(now)
            delay(run.stepTime)
        }
        val outcome = held() ?: run.outcome.also { if (script.size > 1) script.removeFirst() }
        progress.update { it.copy(stage = DownloadStage.RESTING) }
        val isWhole = outcome is RunOutcome.Completed && outcome.acceptedShortfall == 0uL
        state.value = KeyBackupState.after(outcome, isWhole, progress.value)
        RunReport(outcome, summary(), 0u, progress.value.opened, isWhole, run.wakeUp)
    }

    override suspend fun work(purpose: WakeUpPurpose, budget: Duration?): WorkOutcome = called("work") {
        when (purpose) {
            WakeUpPurpose.DOWNLOAD -> run(budget).let { WorkOutcome.after(it.outcome, it.wakeUp) }
            WakeUpPurpose.RESET -> runReset(budget).let { WorkOutcome.after(it.outcome, it.wakeUp) }
            WakeUpPurpose.UPLOAD -> flushUploads(budget).let { WorkOutcome.after(it.outcome, it.wakeUp) }
            WakeUpPurpose.PREFERENCE_WRITE -> {
                preference.flush(budget)
                WorkOutcome.Success
            }
        }
    }

    override suspend fun status(): DownloadStatus = called("status") {
        DownloadStatus(
            stage = progress.value.stage,
            fetchComplete = progress.value.run { total > 0u && fetched == total },
            unlocked = isUnlocked,
            restartNeedsRecoveryKey = false,
            causes = causes.value.sorted(),
            stopped = core.isStopped,
            running = null,
            versions = emptyList(),
            summary = summary(),
        )
    }

    override suspend fun pause(cause: PauseCause): Unit = called("pause") { causes.update { it + cause } }

    override suspend fun resume(cause: PauseCause): Unit = called("resume") { causes.update { it - cause } }

    override suspend fun stop(): Unit = called("stop") { core.isStopped = true }

    override suspend fun start(): Unit = called("start") {
        core.isStopped = false
        causes.update { it - PauseCause.USER }
    }

    override suspend fun awaitQuiescent() {
        progress.first { it.stage == DownloadStage.RESTING }
    }

    override fun setPolicy(policy: DownloadPolicy) {
        this.policy = policy
    }

    override suspend fun findRoomKey(roomId: String, sessionId: String): RoomKeyLookup = called("findRoomKey") {
        keys.find { it.roomId == roomId && it.sessionId == sessionId }
            ?.let { RoomKeyLookup.Found(it, emptyList()) }
            ?: RoomKeyLookup.NotFound
    }

    override suspend fun fetchSession(roomId: String, sessionId: String, betterThan: UInt?): RoomKeyLookup =
        findRoomKey(roomId, sessionId)

    override suspend fun fetchRoom(roomId: String): RoomFetch =
        called("fetchRoom") { RoomFetch(0u, askedServer = true) }

    override suspend fun refresh(): ServerNews = called("refresh") { ServerNews.NothingNew }

    override suspend fun prioritiseRooms(roomIds: List<String>): Unit = called("prioritiseRooms") {}

    override suspend fun proveRoomKey(roomId: String, sessionId: String, eventJson: String): KeyProof =
        called("proveRoomKey") { KeyProof.NOT_FOUND }

    override suspend fun roomHistoryShareability(roomId: String): RoomHistoryShareability =
        called("roomHistoryShareability") {
            val (shared, others) = keys.filter { it.roomId == roomId }.partition { it.sharedHistory }
            RoomHistoryShareability(shared.size.toULong(), others.size.toULong(), 0u, 0u)
        }

    override suspend fun closeLookups(): Unit = called("closeLookups") {}

    override fun roomKeys(roomId: String): Flow<RoomKey> = keys.filter { it.roomId == roomId }.asFlow()

    override fun arrivedSince(cursor: ArrivalCursor): Flow<ArrivedPage> {
        val arrived = keys.drop(cursor.entry.toInt()).map { ArrivedRoomKeys(it.roomId, listOf(it.sessionId)) }
        if (arrived.isEmpty()) return flowOf()
        return flowOf(ArrivedPage(arrived, ArrivalCursor(0, keys.size.toLong()), more = false))
    }

    override fun failures(reason: FailureReason): Flow<EntryRef> = flowOf()

    override fun conflicts(): Flow<KeyConflict> = flowOf()

    override fun refusals(): Flow<RefusedEntry> = flowOf()

    override suspend fun includeVersion(version: String): Unit = called("includeVersion") {}

    override suspend fun acceptShortfall(version: String, publicKey: String, most: ULong): Boolean =
        called("acceptShortfall") { version == VERSION }

    override suspend fun giveUpVersion(version: String): Boolean = called("giveUpVersion") { version == VERSION }

    override suspend fun cryptoStoreWasReplaced(): Unit = called("cryptoStoreWasReplaced") {}

    override suspend fun exportRoomKeys(passphrase: String, file: File): ExportSummary = called("exportRoomKeys") {
        file.writeText("-----BEGIN MEGOLM SESSION DATA-----\n-----END MEGOLM SESSION DATA-----\n")
        ExportSummary(keys.size.toULong(), 0u, 0u, 0u)
    }

    override fun close() {
        isClosed = true
    }

    private fun held(): RunOutcome? = core.held(RunOutcome.Stopped, RunOutcome::Paused)

    private fun summary() = progress.value.run {
        DownloadSummary(
            version = VERSION,
            total = total,
            fetched = fetched,
            opened = opened,
            delivered = delivered,
            failed = failed,
            refused = refused,
            conflicts = conflicts,
            locked = locked,
            rooms = rooms,
            bytesDownloaded = bytesDownloaded,
        )
    }

    private suspend fun <T> called(name: String, answer: suspend () -> T): T = core.called(name, answer)
}
