package org.matrix.keyferry

/**
 * Calls of one kind, of which Rust does one at a time and can end "the one that is at work". Which one that is only Rust knows:
 * it is told to end one only while there is no other. That is soon, as a call that finds another one at work returns at once.
 */
internal class CallsUnderWay {
    /** The lock of itself. */
    private val calls = mutableSetOf<Any>()

    suspend fun <T> during(call: Any, work: suspend () -> T): T {
        synchronized(calls) { calls += call }
        try {
            return work()
        } finally {
            synchronized(calls) { calls -= call }
        }
    }

    /** Ends that call if there is no other; to be tried again while it answers that the call is still under way. */
    fun tryToEnd(call: Any, end: () -> Unit): Boolean = synchronized(calls) {
        // Under the lock, so that what begins next is never ended.
        if (calls.singleOrNull() === call) end()
        call in calls
    }
}
