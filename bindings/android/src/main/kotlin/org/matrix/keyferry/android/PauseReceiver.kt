package org.matrix.keyferry.android

import android.app.PendingIntent
import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.net.Uri
import android.util.Log
import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.GlobalScope
import kotlinx.coroutines.launch
import org.matrix.keyferry.ffi.StatusException

/** Pauses a download when the user presses the button in its notification. */
internal class PauseReceiver : BroadcastReceiver() {
    @OptIn(DelicateCoroutinesApi::class)
    override fun onReceive(context: Context, intent: Intent) {
        val backup = intent.data?.schemeSpecificPart?.let(OpenBackups::find) ?: return
        // Keeps the process until the pause is written.
        val pending = goAsync()
        GlobalScope.launch {
            try {
                backup.pause()
            } catch (failure: StatusException) {
                Log.w(LOG_TAG, "the pause is not kept: ${failure.message}")
            } finally {
                pending.finish()
            }
        }
    }

    companion object {
        fun intent(context: Context, userId: String): PendingIntent {
            // In the data, because an intent's extras do not tell two pending ones apart.
            val pause = Intent(context, PauseReceiver::class.java).setData(Uri.fromParts("keyferry", userId, null))
            return PendingIntent.getBroadcast(context, 0, pause, PendingIntent.FLAG_IMMUTABLE)
        }
    }
}
