package org.matrix.keyferry.android

import android.app.job.JobInfo
import android.app.job.JobScheduler
import android.content.ComponentName
import android.content.Context
import android.os.Build
import androidx.annotation.RequiresApi

/**
 * Schedules a user-initiated data transfer. Returns `false` if the OS does not take it, as when the app is not on
 * screen.
 */
@RequiresApi(Build.VERSION_CODES.UPSIDE_DOWN_CAKE)
internal fun startUserInitiatedJob(context: Context, order: WorkOrder): Boolean {
    val expected = if (order.expectedBytes > 0) order.expectedBytes else JobInfo.NETWORK_BYTES_UNKNOWN.toLong()
    val job = JobInfo.Builder(jobId(order.userId), ComponentName(context, KeyBackupJobService::class.java))
        .setUserInitiated(true)
        .setRequiredNetworkType(JobInfo.NETWORK_TYPE_ANY)
        .setEstimatedNetworkBytes(expected, 0)
        .setPersisted(true)
        .setExtras(order.toBundle())
        .build()
    return try {
        jobs(context).schedule(job) == JobScheduler.RESULT_SUCCESS
    } catch (_: SecurityException) {
        false
    }
}

@RequiresApi(Build.VERSION_CODES.UPSIDE_DOWN_CAKE)
internal fun cancelUserInitiatedJob(context: Context, userId: String) {
    jobs(context).cancel(jobId(userId))
}

@RequiresApi(Build.VERSION_CODES.UPSIDE_DOWN_CAKE)
private fun jobs(context: Context): JobScheduler = context.getSystemService(JobScheduler::class.java)

/**
 * Returns a number for the account, for its job and its notification: a negative one, because WorkManager takes the
 * others for its own jobs.
 */
internal fun jobId(userId: String): Int = userId.hashCode() or Int.MIN_VALUE
