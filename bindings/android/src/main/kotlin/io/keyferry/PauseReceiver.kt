package io.keyferry

import android.app.PendingIntent
import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.net.Uri
import android.util.Log
import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.GlobalScope
import kotlinx.coroutines.launch

/** Pauses a download or a reset when the user presses the button in its notification. */
internal class PauseReceiver : BroadcastReceiver() {
    override fun onReceive(context: Context, intent: Intent) {
        val userId = intent.data?.schemeSpecificPart ?: return
        // Keeps the process until the pause is written.
        val pending = goAsync()
        pauseByUser(context, userId) { pending.finish() }
    }

    companion object {
        fun intent(context: Context, userId: String): PendingIntent {
            // In the data, because an intent's extras do not tell two pending ones apart.
            val pause = Intent(context, PauseReceiver::class.java).setData(Uri.fromParts("keyferry", userId, null))
            return PendingIntent.getBroadcast(context, 0, pause, PendingIntent.FLAG_IMMUTABLE)
        }
    }
}

/** Pauses the download for the user, who has no screen before them that could tell of a failure. */
@OptIn(DelicateCoroutinesApi::class)
internal fun pauseByUser(context: Context, userId: String, whenDone: () -> Unit = {}) {
    // Of the process, because the service or receiver that calls this is gone in a moment.
    GlobalScope.launch {
        try {
            context.keyBackup(userId)?.pause()
        } catch (failure: Exception) {
            Log.w(LOG_TAG, "the pause is not kept: ${failure.message}")
        } finally {
            whenDone()
        }
    }
}
