package io.keyferry

import android.content.Context
import android.os.Build
import androidx.work.Constraints
import androidx.work.ExistingWorkPolicy
import androidx.work.NetworkType
import androidx.work.OneTimeWorkRequest
import androidx.work.OneTimeWorkRequestBuilder
import androidx.work.Operation
import androidx.work.OutOfQuotaPolicy
import androidx.work.WorkManager
import androidx.work.await
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.TimeUnit
import kotlin.time.Duration
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

/** What an entry of a backup weighs on the wire, in bytes. */
private const val BYTES_OF_A_KEY = 870uL

/** The background work of key backups, by WorkManager and, for what the user starts on Android 14, JobScheduler. */
public object KeyBackupWork {
    /** A tag that all work of this library has. */
    public const val TAG: String = "keyferry"

    /**
     * Asks WorkManager for a wake-up of an account in place of the last one of that purpose; `null` cancels it. This is
     * what `scheduleWakeUp` does if the app does not replace it. Returns when WorkManager has written it down.
     * Cancelling the coroutine does not end this: the library waits two seconds for it, and on a slow phone the first
     * start of WorkManager takes longer.
     */
    public suspend fun schedule(context: Context, userId: String, purpose: WakeUpPurpose, wakeUp: WakeUp?) {
        if (workName(userId, purpose) in beginning) return
        withContext(NonCancellable) {
            inTurn.withLock {
                if (wakeUp == null) {
                    WorkManager.getInstance(context).cancelUniqueWork(workName(userId, purpose)).await()
                } else if (!isStartedByUser(context, userId, purpose)) {
                    put(context, WorkOrder(userId, purpose), wakeUp)
                }
            }
        }
    }

    /**
     * Starts or continues the download or the reset because the user wants it now. Call it while the app is on screen.
     *
     * It shows a notification and continues when the user leaves the app: as a user-initiated data transfer from
     * Android 14 on, before that as an expedited worker in the foreground. On Android 13 and later the notification
     * appears only if the user has granted `POST_NOTIFICATIONS`.
     *
     * @param purpose what to start: [WakeUpPurpose.DOWNLOAD], or [WakeUpPurpose.RESET] for a reset that has begun
     */
    public suspend fun startNow(
        context: Context,
        userId: String,
        purpose: WakeUpPurpose = WakeUpPurpose.DOWNLOAD,
    ) {
        require(purpose == WakeUpPurpose.DOWNLOAD || purpose == WakeUpPurpose.RESET) { "$purpose shows no progress" }
        val backup = OpenBackups.find(userId)
        val here = backup?.let { statusOf(it) }
        val expected = if (purpose == WakeUpPurpose.RESET) backup?.let { resetOf(it) }?.bytesLeft else here?.bytesLeft
        val order = WorkOrder(userId, purpose, expected ?: 0, isByUser = true)
        val needsNetwork = purpose != WakeUpPurpose.DOWNLOAD || here?.fetchComplete != true
        inTurn.withLock {
            if (needsNetwork && startUserInitiatedJob(context, order)) {
                // The job takes its place.
                WorkManager.getInstance(context).cancelUniqueWork(workName(userId, order.purpose)).await()
            } else {
                put(context, order, NOW.copy(needsNetwork = needsNetwork))
            }
        }
    }

    /** Cancels all background work of an account. A run in a worker ends, and its keys are kept. */
    public suspend fun cancel(context: Context, userId: String) {
        inTurn.withLock {
            for (purpose in WakeUpPurpose.entries) {
                WorkManager.getInstance(context).cancelUniqueWork(workName(userId, purpose)).await()
                cancelUserInitiatedJob(context, userId, purpose)
            }
        }
    }

    /** Returns the name of the unique work, for an app that observes it by `getWorkInfosForUniqueWorkFlow`. */
    public fun workName(userId: String, purpose: WakeUpPurpose): String = "keyferry ${purpose.name} $userId"

    /**
     * Does what a worker does before its run: opens the backup. A wake-up that this asks for would take the worker's
     * place. It is not needed: the run asks for its own.
     */
    internal suspend fun <T> whileBeginning(order: WorkOrder, begin: suspend () -> T): T {
        val name = workName(order.userId, order.purpose)
        beginning.add(name)
        return try {
            begin()
        } finally {
            beginning.remove(name)
        }
    }

    /**
     * Schedules the next slice from within a worker: the request waits until this worker has succeeded, and only then
     * its delay begins. `APPEND` would fail if an earlier request of the chain has failed.
     */
    internal suspend fun append(context: Context, order: WorkOrder, wakeUp: WakeUp) {
        inTurn.withLock { enqueue(context, order, wakeUp, ExistingWorkPolicy.APPEND_OR_REPLACE).await() }
    }

    /**
     * Puts a request in place of the last one. That also cancels a running worker; meanwhile its KeyBackup holds the
     * wake-ups of the library back.
     */
    internal suspend fun replace(context: Context, order: WorkOrder, wakeUp: WakeUp) {
        inTurn.withLock { put(context, order, wakeUp) }
    }

    /** Whether a request or job of the user waits or works: a wake-up of the library must not take its place. */
    private suspend fun isStartedByUser(context: Context, userId: String, purpose: WakeUpPurpose): Boolean {
        if (hasUserInitiatedJob(context, userId, purpose)) return true
        val name = workName(userId, purpose)
        val known = WorkManager.getInstance(context).getWorkInfosForUniqueWorkFlow(name).first()
        return known.any { TAG_BY_USER in it.tags && !it.state.isFinished }
    }

    private suspend fun put(context: Context, order: WorkOrder, wakeUp: WakeUp) {
        enqueue(context, order, wakeUp, ExistingWorkPolicy.REPLACE).await()
    }

    private fun enqueue(context: Context, order: WorkOrder, wakeUp: WakeUp, policy: ExistingWorkPolicy): Operation {
        val name = workName(order.userId, order.purpose)
        return WorkManager.getInstance(context).enqueueUniqueWork(name, policy, request(order, wakeUp))
    }

    private fun request(order: WorkOrder, wakeUp: WakeUp): OneTimeWorkRequest {
        val network = when {
            wakeUp.needsUnmetered -> NetworkType.UNMETERED
            wakeUp.needsNetwork -> NetworkType.CONNECTED
            else -> NetworkType.NOT_REQUIRED
        }
        val constraints = Constraints.Builder()
            .setRequiredNetworkType(network)
            .setRequiresCharging(wakeUp.needsCharging)
            .build()
        val expected = maxOf(order.expectedBytes, wakeUp.expectedBytes.toLong())
        val builder = OneTimeWorkRequestBuilder<KeyBackupWorker>()
            .setInputData(order.copy(expectedBytes = expected).toData())
            .setConstraints(constraints)
            .addTag(TAG)
        if (order.isByUser) builder.addTag(TAG_BY_USER)
        // WorkManager accepts neither a delay nor a charger for expedited work.
        if (isUrgent(order) && wakeUp.notBefore == Duration.ZERO && !wakeUp.needsCharging) {
            builder.setExpedited(OutOfQuotaPolicy.RUN_AS_NON_EXPEDITED_WORK_REQUEST)
        } else {
            builder.setInitialDelay(wakeUp.notBefore.inWholeMilliseconds, TimeUnit.MILLISECONDS)
        }
        return builder.build()
    }

    /** What the user waits for: work that they have started, and a choice that they have made. */
    private fun isUrgent(order: WorkOrder): Boolean = when (order.purpose) {
        WakeUpPurpose.DOWNLOAD, WakeUpPurpose.RESET, WakeUpPurpose.UPLOAD -> order.isByUser
        // Before Android 12, expedited work shows a notification: too much for one small request.
        WakeUpPurpose.PREFERENCE_WRITE -> Build.VERSION.SDK_INT >= Build.VERSION_CODES.S
    }

    private suspend fun statusOf(backup: KeyBackup): DownloadStatus? = try {
        backup.status()
    } catch (_: AccessException) {
        null
    }

    private suspend fun resetOf(backup: KeyBackup): ResetStatus? = try {
        backup.resetStatus()
    } catch (_: ResetException) {
        null
    }

    /** How much is left to download, for the estimate that the OS shows. */
    private val DownloadStatus.bytesLeft: Long
        get() = ((summary.total - minOf(summary.fetched, summary.total)) * BYTES_OF_A_KEY).toLong()

    /** How much is left to send and to read back. */
    private val ResetStatus.bytesLeft: Long
        get() = (2uL * (total - minOf(sent, total)) * BYTES_OF_A_KEY).toLong()

    /** Orders what is asked of WorkManager, so that the last request is the one that counts. */
    private val inTurn = Mutex()

    /** The names of the work whose worker opens the backup. */
    private val beginning = ConcurrentHashMap.newKeySet<String>()

    private const val TAG_BY_USER = "keyferry by user"

    private val NOW = WakeUp(Duration.ZERO, needsNetwork = true, needsUnmetered = false, needsCharging = false, expectedBytes = 0u)
}
