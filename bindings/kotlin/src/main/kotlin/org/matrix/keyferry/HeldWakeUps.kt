package org.matrix.keyferry

import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import org.matrix.keyferry.ffi.WakeUp
import org.matrix.keyferry.ffi.WakeUpPurpose

/**
 * Holds wake-ups back while somebody is at the work that they are for, who then gets the last one. Asked for at once, it
 * would take the place of the worker that is at it, and so end it.
 */
internal class HeldWakeUps {
    private val turns = WakeUpPurpose.entries.associateWith { Mutex() }

    /** By purpose, where somebody is at work; the lock of itself. */
    private val held = mutableMapOf<WakeUpPurpose, WakeUp?>()

    /** Takes it for whoever is at work. `false` if nobody is. */
    fun hold(purpose: WakeUpPurpose, wakeUp: WakeUp?): Boolean = synchronized(held) {
        val isAtWork = purpose in held
        if (isAtWork) held[purpose] = wakeUp
        isAtWork
    }

    /**
     * Does [work] and gives what it gives, with the wake-up that was asked for last. One at a time for each purpose: who
     * comes while a cancelled one is still ending waits for that.
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
