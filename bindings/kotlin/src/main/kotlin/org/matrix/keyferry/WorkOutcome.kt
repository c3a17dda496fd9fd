package org.matrix.keyferry

import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import org.matrix.keyferry.ffi.RunFailure
import org.matrix.keyferry.ffi.RunOutcome
import org.matrix.keyferry.ffi.WakeUp

/** What a worker does after [work]. */
public sealed interface WorkOutcome {
    /**
     * Nothing to reschedule: all is done, or it waits for something that asks by itself when it comes, such as the recovery
     * key, the user's `resume` or `start`, or the end of another run.
     */
    public data object Success : WorkOutcome

    /**
     * More to do: work again when [wakeUp] says. Without one nothing is known but that it passes: the same again, after the
     * scheduler's own back-off.
     */
    public data class Retry(val wakeUp: WakeUp?) : WorkOutcome {
        /** How long to wait at least. */
        public val notBefore: Duration? get() = wakeUp?.let { it.notBeforeMs.toLong().milliseconds }
    }

    /** It cannot go on by itself, for that reason: somebody has to look. */
    public data class Failure(val reason: RunFailure) : WorkOutcome
}

/** What the end of a run means for the worker, with the wake-up that was asked for, if one was. */
internal fun RunOutcome.toWorkOutcome(wakeUp: WakeUp?): WorkOutcome {
    if (wakeUp != null) return WorkOutcome.Retry(wakeUp)
    return when (this) {
        is RunOutcome.Completed, is RunOutcome.Short, is RunOutcome.NeedsUnlock, is RunOutcome.Stopped -> WorkOutcome.Success
        // By the user, or because the account signs out; everything else has a wake-up.
        is RunOutcome.Paused -> WorkOutcome.Success
        is RunOutcome.AlreadyRunning -> WorkOutcome.Success
        is RunOutcome.OutOfBudget, is RunOutcome.Blocked -> WorkOutcome.Retry(null)
        // The other run goes on with it.
        is RunOutcome.Failed -> if (reason is RunFailure.Overtaken) WorkOutcome.Success else WorkOutcome.Failure(reason)
    }
}
