package io.keyferry

import java.io.IOException
import okio.BufferedSource

private const val CHUNK_BYTES = 64 * 1024

/** Bytes that OkHttp returns at a time; fewer mean that no more have arrived yet. */
private const val SEGMENT_BYTES = 8 * 1024

/** How long a chunk may take to fill, so that bytes that are here do not wait for a slow connection. */
private const val FILL_NANOS = 50_000_000L

/** Reads a body in chunks large enough to be worth passing to Rust. */
internal class ChunkReader(private val source: BufferedSource) {
    private val buffer = ByteArray(CHUNK_BYTES)
    private var failure: IOException? = null

    /** Blocks until the next chunk is here and returns it, or `null` at the end of the body. */
    fun next(): ByteArray? {
        failure?.let { throw it }
        val began = System.nanoTime()
        var filled = 0
        try {
            do {
                val read = source.read(buffer, filled, CHUNK_BYTES - filled)
                if (read < 0) break
                filled += read
            } while (read >= SEGMENT_BYTES && filled < CHUNK_BYTES && System.nanoTime() - began < FILL_NANOS)
        } catch (error: IOException) {
            if (filled == 0) throw error
            // The bytes before the failure are good: return them first, and throw on the next call.
            failure = error
        }
        return if (filled == 0) null else buffer.copyOf(filled)
    }
}
