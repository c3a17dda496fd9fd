package io.keyferry

import android.app.Notification
import android.app.job.JobParameters
import android.app.job.JobService
import android.os.Build
import android.util.Log
import androidx.annotation.RequiresApi
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch

/**
 * Does work that the user has started by hand, as a user-initiated data transfer (Android 14 and later).
 * [KeyBackupWork.startNow] schedules it.
 */
@RequiresApi(Build.VERSION_CODES.UPSIDE_DOWN_CAKE)
public class KeyBackupJobService : JobService() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val underWay = mutableMapOf<Int, Job>()

    override fun onStartJob(parameters: JobParameters): Boolean {
        val order = WorkOrder.of(parameters.extras) ?: return false
        // Must be set within seconds, or the OS takes the app for one that does not answer.
        val shown = OpenBackups.find(order.userId)?.nowShownFor(order)
        show(parameters, order, KeyBackupNotification(this).of(order, shown))
        underWay[parameters.jobId] = scope.launch { carryOut(parameters, order) }
        return true
    }

    override fun onStopJob(parameters: JobParameters): Boolean {
        underWay.remove(parameters.jobId)?.cancel()
        val userId = WorkOrder.of(parameters.extras)?.userId ?: return false
        val isByUser = parameters.stopReason == JobParameters.STOP_REASON_USER
        // A user who stops the job in the system's settings does not want a worker to go on with it.
        if (isByUser) pauseByUser(applicationContext, userId)
        return !isByUser
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    private suspend fun carryOut(parameters: JobParameters, order: WorkOrder) {
        val wantsReschedule = try {
            val backup = applicationContext.keyBackup(order.userId)
            backup != null && work(backup, parameters, order)
        } catch (cancelled: CancellationException) {
            // Stopped: `onStopJob` has told the OS whether the job is to run again.
            throw cancelled
        } catch (failure: OpenException) {
            Log.w(LOG_TAG, "the vault cannot be opened: ${failure.message}")
            failure.passes
        } catch (mistake: Exception) {
            // Of the app, such as a missing `KeyBackupProvider`, or of WorkManager.
            Log.e(LOG_TAG, "the job does not go on", mistake)
            false
        }
        jobFinished(parameters, wantsReschedule)
    }

    /** Returns whether the job is to run again. */
    private suspend fun work(backup: KeyBackup, parameters: JobParameters, order: WorkOrder): Boolean = coroutineScope {
        val notification = KeyBackupNotification(applicationContext)
        val display = launch {
            backup.shownFor(order).collect { shown ->
                if (notification.isShown(order)) show(parameters, order, notification.of(order, shown))
                updateTransferredNetworkBytes(parameters, shown.bytesDownloaded, shown.bytesUploaded)
                delay(NOTIFICATION_INTERVAL)
            }
        }
        val outcome = try {
            backup.work(order.purpose, budget = null)
        } finally {
            display.cancel()
        }
        if (!OpenBackups.isOpen(order.userId, backup)) return@coroutineScope false
        val wakeUp = (outcome as? WorkOutcome.Retry)?.wakeUp
        if (wakeUp != null) KeyBackupWork.replace(applicationContext, order.copy(isByUser = false), wakeUp)
        outcome is WorkOutcome.Retry && wakeUp == null
    }

    private fun show(parameters: JobParameters, order: WorkOrder, notification: Notification) {
        val id = jobId(order.userId, order.purpose)
        setNotification(parameters, id, notification, JOB_END_NOTIFICATION_POLICY_REMOVE)
    }
}
