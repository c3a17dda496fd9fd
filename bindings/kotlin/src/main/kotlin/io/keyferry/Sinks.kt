package io.keyferry

import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import io.keyferry.ffi.RoomKey
import io.keyferry.ffi.RoomKeySink
import io.keyferry.ffi.SinkAnswer
import io.keyferry.ffi.SinkException
import io.keyferry.ffi.SinkLimits

/**
 * Makes a sink from a function, which takes a batch of keys into the app's crypto and returns one answer for each key,
 * in the same order. Keys that it answers with `Imported` or `Known` must be durable by then. [limits] says how many
 * keys a batch may have, 2,000 by default.
 *
 * ```
 * val sink = roomKeySink { keys ->
 *     crypto.importAndCommit(keys)
 *     keys.map { SinkAnswer.Imported }
 * }
 * ```
 *
 * A batch may come twice, so taking a key again must do no harm. If the function throws, nothing of the batch counts
 * as delivered, the run ends as blocked, and the keys come again in a later run.
 */
public fun roomKeySink(
    limits: SinkLimits = SinkLimits(),
    deliver: suspend (List<RoomKey>) -> List<SinkAnswer>,
): RoomKeySink = object : RoomKeySink {
    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> = deliver.invoke(keys)

    override fun limits(): SinkLimits = limits
}

/**
 * Delivers one batch at a time, also across a pause. A pause cancels the delivery under way without waiting for its
 * end; the next batch waits for it here.
 */
internal class OneAtATimeSink(private val sink: RoomKeySink) : RoomKeySink {
    private val mutex = Mutex()

    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> =
        mutex.withLock { answered(SinkException::Unavailable) { sink.deliver(keys) } }

    override fun limits(): SinkLimits = sink.limits()
}
