package org.matrix.keyferry

import java.io.IOException
import okio.BufferedSource

private const val CHUNK_BYTES = 64 * 1024

/** What OkHttp hands out at a time; less than that means that no more is there yet. */
private const val SEGMENT_BYTES = 8 * 1024

/** How long a chunk may take to fill: what is there already must not wait for what comes slowly. */
private const val FILL_NANOS = 50_000_000L

/** Reads a body in chunks that are worth their way across the language border. */
internal class ChunkReader(private val source: BufferedSource) {
    private val buffer = ByteArray(CHUNK_BYTES)
    private var failure: IOException? = null

    /** Waits for the next chunk; `null` at the end. */
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
            // What came before it is good, and is handed out first.
            failure = error
        }
        return if (filled == 0) null else buffer.copyOf(filled)
    }
}
