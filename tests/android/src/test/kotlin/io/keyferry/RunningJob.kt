package io.keyferry

import android.app.Notification
import android.app.NotificationManager
import android.app.job.IJobCallback
import android.app.job.IJobService
import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobService
import android.content.Intent
import android.net.Network
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import org.robolectric.shadow.api.Shadow
import org.robolectric.shadows.ShadowService

/** A job that a test starts as the OS does: through the binder of its service. */
internal class RunningJob(info: JobInfo, network: Network?) {
    /** Whether the service has told the OS that the job has ended. */
    val isFinished: Boolean get() = shadow.end != null

    /** Whether the job is to run again; `null` while it is at work. */
    val wantsReschedule: Boolean? get() = stopAnswer ?: shadow.end

    /** The last notification of the job. */
    val notification: Notification? get() = shadow.notification

    /** The bytes that the service says it has received. */
    val received: Long get() = shadow.received

    @Volatile
    private var stopAnswer: Boolean? = null

    private val callback = object : IJobCallback.Default() {
        override fun acknowledgeStopMessage(jobId: Int, reschedule: Boolean) {
            stopAnswer = reschedule
        }
    }
    private val parameters = JobParameters(
        asBinder(callback), null, info.id, info.extras, info.transientExtras, null, 0,
        false, false, info.isUserInitiated, null, null, network,
    )

    @Suppress("UNCHECKED_CAST")
    private val service = Robolectric.buildService(Class.forName(info.service.className) as Class<JobService>).create().get()
    private val shadow = Shadow.extract<RecordingJobService>(service)
    private val binder = IJobService.Stub.asInterface(service.onBind(Intent()))

    init {
        binder.startJob(parameters)
    }

    /** Stops the job as the OS does. */
    fun stop(reason: Int) {
        parameters.setStopReason(reason, 0, "")
        binder.stopJob(parameters)
    }

    private fun asBinder(callback: IJobCallback) = object : IJobCallback.Stub(), IJobCallback by callback {
        override fun asBinder() = this
    }
}

/** Keeps what a job says to the OS. Robolectric's own shadow drops most of it. */
@Implements(JobService::class)
internal class RecordingJobService : ShadowService() {
    @Volatile
    var end: Boolean? = null

    @Volatile
    var notification: Notification? = null

    @Volatile
    var received = 0L

    @Implementation
    protected fun jobFinished(parameters: JobParameters, wantsReschedule: Boolean) {
        end = wantsReschedule
    }

    @Implementation
    protected fun setNotification(parameters: JobParameters, id: Int, notification: Notification, policy: Int) {
        this.notification = notification
        RuntimeEnvironment.getApplication().getSystemService(NotificationManager::class.java).notify(id, notification)
    }

    @Implementation
    protected fun updateTransferredNetworkBytes(parameters: JobParameters, download: Long, upload: Long) {
        received = download
    }
}
