package org.matrix.keyferry

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import org.matrix.keyferry.ffi.PreferenceException
import org.matrix.keyferry.ffi.WakeUpPurpose

/**
 * Does the work of a wake-up in a `CoroutineWorker`: one run of the download, or one attempt to write the preference.
 * `WORKMANAGER.md` has the rest of the code that joins an app to WorkManager.
 *
 * ```
 * override suspend fun doWork(): Result = when (val outcome = backup.work(purpose)) {
 *     is WorkOutcome.Success -> Result.success()
 *     is WorkOutcome.Failure -> Result.failure()
 *     is WorkOutcome.Retry -> outcome.wakeUp?.let { wakeUp ->
 *         enqueue(purpose, wakeUp, ExistingWorkPolicy.APPEND_OR_REPLACE).await()
 *         Result.success()
 *     } ?: Result.retry()
 * }
 * ```
 *
 * While this is under way, `scheduleWakeUp` is not called for [purpose]: the outcome carries the last wake-up
 * instead. `REPLACE`, which is right everywhere else, would cancel the running worker; an appended request begins to
 * wait when this worker succeeds. `Result.retry()` would keep the constraints of this request, and wait longer after
 * every slice. A worker that is stopped or killed needs no new request, because WorkManager runs it again; any other
 * scheduler must do so too.
 *
 * Cancelling the coroutine, as WorkManager does when it stops a worker, ends the run. The `CancellationException` is
 * rethrown when the run has ended, a fraction of a second later, and the next call for the same purpose waits for
 * that. So a process must have only one [KeyBackup] for an account.
 *
 * Throws nothing but `CancellationException`.
 *
 * @param purpose the purpose that `scheduleWakeUp` was called with
 * @param budget time after which the work returns by itself; less than the ten minutes that WorkManager gives a
 *   worker
 * @return what the worker should do next
 */
public suspend fun KeyBackup.work(
    purpose: WakeUpPurpose = WakeUpPurpose.DOWNLOAD,
    budget: Duration = 9.minutes,
): WorkOutcome = when (purpose) {
    WakeUpPurpose.DOWNLOAD -> {
        val (report, wakeUp) = callbacks.heldWakeUps.during(purpose) { run(budget) }
        report.outcome.toWorkOutcome(wakeUp ?: report.wakeUp)
    }
    WakeUpPurpose.PREFERENCE_WRITE -> {
        val (outcome, wakeUp) = callbacks.heldWakeUps.during(purpose) { flush(budget) }
        if (wakeUp != null) WorkOutcome.Retry(wakeUp) else outcome
    }
}

/** Writes a pending preference. One that stays pending asks for a wake-up, unless it waits for the user. */
private suspend fun KeyBackup.flush(budget: Duration): WorkOutcome = try {
    preference.flush(budget)
    WorkOutcome.Success
} catch (error: PreferenceException) {
    when (error) {
        is PreferenceException.Unreachable, is PreferenceException.Inaccessible -> WorkOutcome.Retry(null)
        // The next worker opens a new client.
        is PreferenceException.Gone, is PreferenceException.Internal -> WorkOutcome.Retry(null)
        // The app takes no part, the account is signed out, or the app must set the vault aside.
        else -> WorkOutcome.Success
    }
}
