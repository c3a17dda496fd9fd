package io.keyferry

import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds

/** What a worker should do after [KeyBackupApi.work]. */
public sealed interface WorkOutcome {
    /**
     * There is nothing to reschedule: everything is done, or the work waits for an event that requests a wake-up by
     * itself, such as an `unlock`, the user's `resume` or `start`, or the end of another run. After the work of a reset
     * also: the app or the user has to do something, and runs it again then.
     */
    public data object Success : WorkOutcome

    /**
     * There is more to do: schedule [wakeUp]. If it is `null`, the obstacle will pass but it is not known when: run
     * the same request again, after the scheduler's own back-off.
     */
    public data class Retry(val wakeUp: WakeUp?) : WorkOutcome {
        /** How long to wait at least, from now; `null` if that is not known. */
        public val notBefore: Duration? get() = wakeUp?.notBefore
    }

    /** The work cannot continue by itself: the user or the app has to act on [reason]. */
    public data class Failure(val reason: RunFailure) : WorkOutcome

    public companion object {
        /** Returns what the end of a run means for a worker; [wakeUp] is the one that the run requested, if any. */
        public fun after(outcome: RunOutcome, wakeUp: WakeUp?): WorkOutcome =
            if (wakeUp != null) Retry(wakeUp) else outcome.toWorkOutcome()

        /** Returns what the end of a run of a reset means for a worker, as for any run. */
        public fun after(outcome: ResetOutcome, wakeUp: WakeUp?): WorkOutcome =
            if (wakeUp != null) Retry(wakeUp) else outcome.toWorkOutcome()

        /** Returns what the end of an upload means for a worker, as for any run. */
        public fun after(outcome: UploadOutcome, wakeUp: WakeUp?): WorkOutcome =
            if (wakeUp != null) Retry(wakeUp) else outcome.toWorkOutcome()
    }
}

private fun RunOutcome.toWorkOutcome(): WorkOutcome =
    when (this) {
        is RunOutcome.Completed, is RunOutcome.Short, is RunOutcome.NeedsUnlock, is RunOutcome.Stopped ->
            WorkOutcome.Success
        // Paused by the user or by `close`; all other pauses have a wake-up.
        is RunOutcome.Paused -> WorkOutcome.Success
        is RunOutcome.AlreadyRunning -> WorkOutcome.Success
        is RunOutcome.OutOfBudget, is RunOutcome.Blocked -> WorkOutcome.Retry(null)
        is RunOutcome.Failed -> reason.toWorkOutcome()
    }

private fun ResetOutcome.toWorkOutcome(): WorkOutcome =
    when (this) {
        is ResetOutcome.Completed, is ResetOutcome.NothingToDo, is ResetOutcome.Stopped -> WorkOutcome.Success
        // The user or the app has to decide something, and runs the reset again.
        is ResetOutcome.Halted, is ResetOutcome.CryptoRefuses, is ResetOutcome.NeedsUnlock -> WorkOutcome.Success
        // Paused by the user or by `close`; all other pauses have a wake-up.
        is ResetOutcome.Paused -> WorkOutcome.Success
        is ResetOutcome.AlreadyRunning -> WorkOutcome.Success
        is ResetOutcome.OutOfBudget, is ResetOutcome.Blocked -> WorkOutcome.Retry(null)
        is ResetOutcome.Failed -> reason.toWorkOutcome()
    }

private fun UploadOutcome.toWorkOutcome(): WorkOutcome =
    when (this) {
        is UploadOutcome.Completed, is UploadOutcome.Stopped -> WorkOutcome.Success
        // The user or the app has to do something, and uploads again.
        is UploadOutcome.Hindered, is UploadOutcome.CryptoRefuses -> WorkOutcome.Success
        is UploadOutcome.CryptoRefuses -> WorkOutcome.Success
        // Paused by the user or by `close`; all other pauses have a wake-up.
        is UploadOutcome.Paused -> WorkOutcome.Success
        is UploadOutcome.AlreadyRunning -> WorkOutcome.Success
        is UploadOutcome.OutOfBudget, is UploadOutcome.Blocked -> WorkOutcome.Retry(null)
        is UploadOutcome.Failed -> reason.toWorkOutcome()
    }

private fun RunFailure.toWorkOutcome(): WorkOutcome =
    // The newer run continues the work.
    if (this is RunFailure.Overtaken) WorkOutcome.Success else WorkOutcome.Failure(this)
