package io.keyferry

import android.Manifest
import android.app.Notification
import android.app.PendingIntent
import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Build
import androidx.core.app.NotificationChannelCompat
import androidx.core.app.NotificationCompat
import androidx.core.app.NotificationManagerCompat
import androidx.core.content.ContextCompat
import io.keyferry.android.R

private const val CHANNEL = "keyferry"
private const val STEPS = 1_000

/**
 * Makes the notification of a download or a reset that the user has started: how far it is, and a button that pauses
 * it. Touching it opens the app. Its channel is made with it.
 */
public class KeyBackupNotification(private val context: Context) {
    private val notifications = NotificationManagerCompat.from(context)

    init {
        val channel = NotificationChannelCompat.Builder(CHANNEL, NotificationManagerCompat.IMPORTANCE_LOW)
            .setName(context.getString(R.string.keyferry_channel))
            .setDescription(context.getString(R.string.keyferry_channel_description))
            .setShowBadge(false)
            .build()
        notifications.createNotificationChannel(channel)
    }

    /** Returns the notification that shows [state]; `null`: the backup is being opened. */
    public fun of(userId: String, state: KeyBackupState?): Notification {
        val builder = builder()
        if (state == null) {
            val title = context.getString(R.string.keyferry_preparing)
            return builder.setContentTitle(title).setProgress(0, 0, true).build()
        }
        builder.setContentTitle(context.resources.keyBackupTitle(state))
            .setContentText(context.resources.keyBackupDetail(state))
        if (state.showsBar) builder.setProgress(STEPS, state.progress.partOf(STEPS), state.progress.total == 0uL)
        if (KeyBackupAction.of(state) == KeyBackupAction.PAUSE) builder.addPause(userId)
        return builder.build()
    }

    /** Returns the notification that shows how far a reset is. */
    public fun of(userId: String, reset: ResetProgress): Notification {
        val builder = builder()
            .setContentTitle(context.getString(R.string.keyferry_reset))
            .setContentText(context.resources.keyBackupResetDetail(reset))
        if (reset.stopped == null) {
            builder.setProgress(STEPS, reset.partOf(STEPS), !reset.isUploading).addPause(userId)
        }
        return builder.build()
    }

    internal fun of(order: WorkOrder, shown: Shown?): Notification {
        val reset = shown?.reset
        return if (reset == null) of(order.userId, shown?.state) else of(order.userId, reset)
    }

    /** Updates the notification of a worker that is under way. Does nothing if the user permits none. */
    internal fun update(order: WorkOrder, shown: Shown) {
        val isPermitted = Build.VERSION.SDK_INT < Build.VERSION_CODES.TIRAMISU ||
            ContextCompat.checkSelfPermission(context, Manifest.permission.POST_NOTIFICATIONS) ==
            PackageManager.PERMISSION_GRANTED
        if (isPermitted && isShown(order)) notifications.notify(jobId(order.userId, order.purpose), of(order, shown))
    }

    /** Whether the notification can be seen. From Android 14 on the user can swipe it away: an update brings it back. */
    internal fun isShown(order: WorkOrder): Boolean =
        notifications.activeNotifications.any { it.id == jobId(order.userId, order.purpose) }

    private fun builder() = NotificationCompat.Builder(context, CHANNEL)
        .setSmallIcon(R.drawable.keyferry_notification)
        .setOngoing(true)
        .setOnlyAlertOnce(true)
        .setShowWhen(false)
        .setCategory(NotificationCompat.CATEGORY_PROGRESS)
        .setForegroundServiceBehavior(NotificationCompat.FOREGROUND_SERVICE_IMMEDIATE)
        .setContentIntent(openApp())

    private fun NotificationCompat.Builder.addPause(userId: String) =
        addAction(0, context.getString(R.string.keyferry_action_pause), PauseReceiver.intent(context, userId))

    private fun openApp(): PendingIntent? {
        val launch = context.packageManager.getLaunchIntentForPackage(context.packageName) ?: return null
        launch.addFlags(Intent.FLAG_ACTIVITY_SINGLE_TOP)
        return PendingIntent.getActivity(context, 0, launch, PendingIntent.FLAG_IMMUTABLE)
    }
}
