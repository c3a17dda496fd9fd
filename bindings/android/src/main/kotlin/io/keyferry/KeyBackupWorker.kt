package io.keyferry

import android.content.Context
import android.content.pm.ServiceInfo
import android.os.Build
import android.util.Log
import androidx.work.CoroutineWorker
import androidx.work.ForegroundInfo
import androidx.work.WorkerParameters
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch

/** Less than the ten minutes that WorkManager gives a worker. */
private val SLICE = 9.minutes

/** Between two updates of a notification. Android drops more than about ten a second. */
internal val NOTIFICATION_INTERVAL: Duration = 1.seconds

/** Tag of our lines in the log. */
internal const val LOG_TAG: String = "keyferry"

/**
 * Does the work of a wake-up: one run of the download or of the reset, one upload, or one attempt to write the
 * preference. [KeyBackupWork] schedules it, and a WorkManager that is set up by default starts it.
 *
 * A worker that is stopped (after ten minutes, or because a constraint fails) or killed needs nothing: WorkManager runs
 * the same request again.
 */
public class KeyBackupWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    override suspend fun doWork(): Result {
        val order = WorkOrder.of(inputData) ?: return Result.failure()
        val backup = try {
            KeyBackupWork.whileBeginning(order) { applicationContext.keyBackup(order.userId) }
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (failure: OpenException) {
            Log.w(LOG_TAG, "the vault cannot be opened: ${failure.message}")
            return if (failure.passes) Result.retry() else Result.failure()
        } catch (mistake: Exception) {
            // Of the app, such as a missing `KeyBackupProvider`.
            Log.e(LOG_TAG, "the worker cannot begin", mistake)
            return Result.failure()
        }
        // The account has signed out.
        if (backup == null) return Result.success()
        val outcome = work(backup, order)
        if (!OpenBackups.isOpen(order.userId, backup)) return Result.success()
        return when (outcome) {
            is WorkOutcome.Success -> Result.success()
            is WorkOutcome.Failure -> Result.failure()
            is WorkOutcome.Retry -> outcome.wakeUp?.let { wakeUp ->
                // Not `Result.retry()`: it keeps the constraints, ignores the delay, and waits longer each time.
                KeyBackupWork.append(applicationContext, order.copy(isByUser = false), wakeUp)
                Result.success()
            } ?: Result.retry()
        }
    }

    override suspend fun getForegroundInfo(): ForegroundInfo {
        val order = WorkOrder.of(inputData) ?: WorkOrder(userId = "", WakeUpPurpose.DOWNLOAD)
        return foregroundInfo(order, OpenBackups.find(order.userId))
    }

    private suspend fun work(backup: KeyBackup, order: WorkOrder): WorkOutcome {
        if (!order.isByUser) return backup.work(order.purpose, SLICE)
        return coroutineScope {
            val isShown = show(backup, order)
            val display = if (isShown) updates(backup, order) else null
            try {
                // In the foreground the ten minutes do not count.
                backup.work(order.purpose, if (isShown) null else SLICE)
            } finally {
                display?.cancel()
            }
        }
    }

    /** Moves the worker to the foreground. Returns `false` if the OS does not allow it, because the app has left. */
    private suspend fun show(backup: KeyBackup, order: WorkOrder): Boolean = try {
        setForeground(foregroundInfo(order, backup))
        true
    } catch (cancelled: CancellationException) {
        throw cancelled
    } catch (_: IllegalStateException) {
        false
    }

    private fun CoroutineScope.updates(backup: KeyBackup, order: WorkOrder) = launch {
        val notification = KeyBackupNotification(applicationContext)
        backup.shownFor(order).collect { shown ->
            notification.update(order, shown)
            delay(NOTIFICATION_INTERVAL)
        }
    }

    private fun foregroundInfo(order: WorkOrder, backup: KeyBackup?): ForegroundInfo {
        val notification = KeyBackupNotification(applicationContext).of(order, backup?.nowShownFor(order))
        val id = jobId(order.userId, order.purpose)
        return if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
            ForegroundInfo(id, notification, ServiceInfo.FOREGROUND_SERVICE_TYPE_DATA_SYNC)
        } else {
            ForegroundInfo(id, notification)
        }
    }
}

/** Whether the same request can succeed later. */
internal val OpenException.passes: Boolean
    get() = remedy == Remedy.RETRY || remedy == Remedy.FREE_SPACE || this is OpenException.Internal
