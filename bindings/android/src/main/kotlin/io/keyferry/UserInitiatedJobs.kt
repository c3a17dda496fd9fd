package io.keyferry

import android.app.job.JobInfo
import android.app.job.JobScheduler
import android.content.ComponentName
import android.content.Context
import android.os.Build
import androidx.annotation.RequiresApi

/**
 * Schedules a user-initiated data transfer. Returns `false` if the OS does not know such jobs (before Android 14), or
 * does not take this one, as when the app is not on screen.
 */
internal fun startUserInitiatedJob(context: Context, order: WorkOrder): Boolean {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.UPSIDE_DOWN_CAKE) return false
    return try {
        jobs(context).schedule(userInitiatedJob(context, order)) == JobScheduler.RESULT_SUCCESS
    } catch (_: SecurityException) {
        false
    }
}

/** Whether such a job of the account waits or is at work. */
internal fun hasUserInitiatedJob(context: Context, userId: String, purpose: WakeUpPurpose): Boolean =
    jobs(context).getPendingJob(jobId(userId, purpose)) != null

internal fun cancelUserInitiatedJob(context: Context, userId: String, purpose: WakeUpPurpose) {
    jobs(context).cancel(jobId(userId, purpose))
}

/**
 * Returns a number for the work of an account, for its job and its notification: a negative one, because WorkManager
 * takes the others for its own jobs.
 */
internal fun jobId(userId: String, purpose: WakeUpPurpose = WakeUpPurpose.DOWNLOAD): Int =
    KeyBackupWork.workName(userId, purpose).hashCode() or Int.MIN_VALUE

@RequiresApi(Build.VERSION_CODES.UPSIDE_DOWN_CAKE)
private fun userInitiatedJob(context: Context, order: WorkOrder): JobInfo {
    val expected = if (order.expectedBytes > 0) order.expectedBytes else JobInfo.NETWORK_BYTES_UNKNOWN.toLong()
    return JobInfo.Builder(jobId(order.userId, order.purpose), ComponentName(context, KeyBackupJobService::class.java))
        .setUserInitiated(true)
        .setRequiredNetworkType(JobInfo.NETWORK_TYPE_ANY)
        .setEstimatedNetworkBytes(expected, 0)
        .setPersisted(true)
        .setExtras(order.toBundle())
        .build()
}

private fun jobs(context: Context): JobScheduler = context.getSystemService(JobScheduler::class.java)
