package org.matrix.keyferry

import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import org.matrix.keyferry.ffi.WakeUp
import org.matrix.keyferry.ffi.WakeUpPurpose

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
     */
    suspend fun <T> during(purpose: WakeUpPurpose, work: suspend () -> T): Pair<T, WakeUp?> =
        turns.getValue(purpose).withLock {
            synchronized(held) { held[purpose] = null }
            try {
                val result = work()
                val last = synchronized(held) { held.remove(purpose) }
                result to last
            } finally {
                synchronized(held) { held.remove(purpose) }
            }
        }
}
