package io.keyferry

import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.withTimeoutOrNull

/** How long a call that was cancelled may take to end. It takes a fraction of a second. */
private val TIME_TO_END = 10.seconds

/**
 * Holds wake-ups back while work for their purpose is under way, and hands the last one to the worker at its end.
 * Scheduled at once, a wake-up would replace the running worker and so cancel it.
 */
internal class HeldWakeUps {
    private val turns = WakeUpPurpose.entries.associateWith { Mutex() }

    /** The last wake-up of each purpose that is at work. Also serves as its own lock. */
    private val held = mutableMapOf<WakeUpPurpose, WakeUp?>()

    /** Keeps [wakeUp] for the worker that is under way. Returns `false` if there is no worker for [purpose]. */
    fun hold(purpose: WakeUpPurpose, wakeUp: WakeUp?): Boolean = synchronized(held) {
        val isAtWork = purpose in held
        if (isAtWork) held[purpose] = wakeUp
        isAtWork
    }

    /**
     * Does [work] and returns its result with the last wake-up that was requested meanwhile. One call at a time for
     * each purpose: a call that comes while a cancelled one is still ending waits for its end.
     *
     * @return `null` if another call is at work, and not ending: it asks for the next wake-up itself
     */
    suspend fun <T> during(purpose: WakeUpPurpose, work: suspend () -> T): Pair<T, WakeUp?>? {
        val (turn, call) = turns.getValue(purpose) to Any()
        withTimeoutOrNull(TIME_TO_END) { turn.lock(call) }
        // Asked of the turn, because it may have come in the moment in which the time was over.
        if (!turn.holdsLock(call)) return null
        try {
            synchronized(held) { held[purpose] = null }
            val result = work()
            return result to synchronized(held) { held.remove(purpose) }
        } finally {
            synchronized(held) { held.remove(purpose) }
            turn.unlock(call)
        }
    }
}
