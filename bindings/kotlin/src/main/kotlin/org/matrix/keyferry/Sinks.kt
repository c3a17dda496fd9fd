package org.matrix.keyferry

import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import org.matrix.keyferry.ffi.RoomKey
import org.matrix.keyferry.ffi.RoomKeySink
import org.matrix.keyferry.ffi.SinkAnswer
import org.matrix.keyferry.ffi.SinkException

/**
 * A sink from a function: it takes a batch of at most 2,000 keys into the app's crypto and answers for each, in the same
 * order. What it answers `Imported` or `Known` must be durable by then. A batch may come twice.
 */
public fun roomKeySink(deliver: suspend (List<RoomKey>) -> List<SinkAnswer>): RoomKeySink = object : RoomKeySink {
    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> = deliver.invoke(keys)
}

/**
 * Keeps the promise that the next batch comes when the last one is answered also across a pause: the pause cancels a
 * delivery that is under way and does not wait for it.
 */
internal class OneAtATimeSink(private val sink: RoomKeySink) : RoomKeySink {
    private val mutex = Mutex()

    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> =
        mutex.withLock { answered(SinkException::Unavailable) { sink.deliver(keys) } }
}
