package io.keyferry

import android.content.Context
import android.util.Log
import java.util.concurrent.ConcurrentHashMap
import kotlin.time.Duration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.flow.Flow

/** Schedules the wake-ups of one account through WorkManager. */
internal class WakeUpScheduler(private val context: Context, private val userId: String) {
    /** The wake-ups that were asked for last. */
    private val asked = ConcurrentHashMap<WakeUpPurpose, WakeUp>()

    suspend fun schedule(purpose: WakeUpPurpose, wakeUp: WakeUp?) {
        if (wakeUp == null) asked.remove(purpose) else asked[purpose] = wakeUp
        try {
            KeyBackupWork.schedule(context, userId, purpose, wakeUp)
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (failure: IllegalStateException) {
            // The library goes on without it: only this line says why no worker comes.
            Log.e(LOG_TAG, "WorkManager cannot be used: ${failure.message}")
            throw failure
        }
    }

    /**
     * Hands a run that ends because the app leaves the screen over to a worker at once. By itself it asks for a wake-up
     * in 15 minutes, which is for an app that has no worker.
     */
    suspend fun handOver(states: Flow<KeyBackupState>) {
        var before: KeyBackupState? = null
        states.collect { state ->
            val isPausedByLeaving = state is KeyBackupState.Paused && state.causes == setOf(PauseCause.IN_BACKGROUND)
            // Only a run that has ended: a wake-up that waits for the server keeps its time, and a worker its place.
            if (before is KeyBackupState.Working && isPausedByLeaving) {
                for (purpose in SHOWN) asked[purpose]?.let { askAgain(purpose, it.copy(notBefore = Duration.ZERO)) }
            }
            before = state
        }
    }

    private suspend fun askAgain(purpose: WakeUpPurpose, wakeUp: WakeUp) {
        try {
            schedule(purpose, wakeUp)
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (failure: Exception) {
            // The wake-up that the run has asked for is there.
            Log.w(LOG_TAG, "the run is not handed over: ${failure.message}")
        }
    }

    private companion object {
        /** What the state of a backup shows the runs of. */
        val SHOWN = listOf(WakeUpPurpose.DOWNLOAD, WakeUpPurpose.RESET)
    }
}
