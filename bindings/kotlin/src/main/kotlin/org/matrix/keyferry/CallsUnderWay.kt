package org.matrix.keyferry

/**
 * Tracks calls of one kind. Rust does one of them at a time and can end only "the one at work", and only Rust knows
 * which call that is. So it is asked to end a call only while no other is under way. Such a moment comes soon,
 * because a call that finds another one at work returns at once.
 */
internal class CallsUnderWay {
    /** Also serves as its own lock. */
    private val calls = mutableSetOf<Any>()

    suspend fun <T> during(call: Any, work: suspend () -> T): T {
        synchronized(calls) { calls += call }
        try {
            return work()
        } finally {
            synchronized(calls) { calls -= call }
        }
    }

    /** Ends [call] if no other is under way. Returns whether [call] is still under way: then try again. */
    fun tryToEnd(call: Any, end: () -> Unit): Boolean = synchronized(calls) {
        // Under the lock, so that the next call to begin is never ended in its place.
        if (calls.singleOrNull() === call) end()
        call in calls
    }
}
