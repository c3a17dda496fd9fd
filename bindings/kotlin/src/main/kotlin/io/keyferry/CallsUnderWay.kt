package io.keyferry

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first

/**
 * Tracks calls that work on the vault. Rust does one of them at a time and can end only "the one at work", and only
 * Rust knows which call that is. So it is asked to end a call only while no other is under way. Such a moment comes
 * soon, because a call that finds another one at work returns at once.
 */
internal class CallsUnderWay {
    /** Changed only under the lock. */
    private val calls = MutableStateFlow<Set<Any>>(emptySet())
    private val lock = Any()

    suspend fun <T> during(call: Any, work: suspend () -> T): T {
        synchronized(lock) { calls.value += call }
        try {
            return work()
        } finally {
            synchronized(lock) { calls.value -= call }
        }
    }

    /** Ends [call] if no other is under way. Returns whether [call] is still under way: then try again. */
    fun tryToEnd(call: Any, end: () -> Unit): Boolean = synchronized(lock) {
        // Under the lock, so that the next call to begin is never ended in its place.
        if (calls.value.singleOrNull() === call) end()
        call in calls.value
    }

    /** Waits until no call is under way. Returns `false` if none was. */
    suspend fun awaitEnd(): Boolean {
        val isUnderWay = calls.value.isNotEmpty()
        if (isUnderWay) calls.first { it.isEmpty() }
        return isUnderWay
    }
}
