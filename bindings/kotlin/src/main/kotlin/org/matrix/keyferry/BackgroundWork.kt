package org.matrix.keyferry

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import org.matrix.keyferry.ffi.PreferenceException
import org.matrix.keyferry.ffi.WakeUpPurpose

/**
 * What a wake-up of that [purpose] is for, in the shape of a `CoroutineWorker`: one run of the download, or one attempt at
 * writing the preference. The rest of the glue to WorkManager is in `WORKMANAGER.md`.
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
 * While it is under way, `scheduleWakeUp` is not called for this purpose: the last wake-up comes with the outcome instead.
 * `REPLACE`, which is right from everywhere else, would cancel the very worker that is running; appended, the next one
 * begins to wait when this one succeeds. `Result.retry()` would keep the constraints of this one, and wait longer after
 * every slice. A worker that is stopped or killed needs none: WorkManager runs it again. Another scheduler has to, too.
 *
 * Cancelling the coroutine, as WorkManager does when it stops a worker, ends the run. The `CancellationException` goes on
 * when all is at rest, a fraction of a second later; whoever works for the same purpose next waits for that. So there must
 * be one [KeyBackup] for an account in a process.
 *
 * @param budget less than the ten minutes that WorkManager gives a worker
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

/** What is still pending asks for a wake-up, unless it waits for the user. */
private suspend fun KeyBackup.flush(budget: Duration): WorkOutcome = try {
    preference.flush(budget)
    WorkOutcome.Success
} catch (error: PreferenceException) {
    when (error) {
        is PreferenceException.Unreachable, is PreferenceException.Inaccessible -> WorkOutcome.Retry(null)
        // Whoever is woken opens a client anew.
        is PreferenceException.Gone, is PreferenceException.Internal -> WorkOutcome.Retry(null)
        // The app takes no part, the account is signed out, or somebody has to set the vault aside.
        else -> WorkOutcome.Success
    }
}
