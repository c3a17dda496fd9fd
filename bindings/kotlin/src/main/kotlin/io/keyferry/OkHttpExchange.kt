package io.keyferry

import java.io.IOException
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withContext
import okhttp3.Call
import okhttp3.Callback
import okhttp3.Response

/** One call under way. [head] and [nextChunk] come one at a time; [cancel] may come at any time. */
internal class OkHttpExchange(private val call: Call) : HttpExchange {
    /** Guards the three fields below: a body may be closed only while no read is under way. */
    private val lock = Any()
    private var response: Response? = null
    private var reading = false
    private var cancelled = false

    private var chunks: ChunkReader? = null

    override suspend fun head(): HttpHead {
        val answer = try {
            call.awaitResponse()
        } catch (error: IOException) {
            throw error.toTransportException(call)
        }
        synchronized(lock) { response = answer }
        closeIfCancelled()
        return HttpHead(answer.code.toUShort(), answer.headers.map { (name, value) -> HttpHeader(name, value) })
    }

    override suspend fun nextChunk(): ByteArray? {
        val reader = synchronized(lock) {
            val body = response?.body
            if (cancelled || body == null) throw TransportException.Closed()
            reading = true
            chunks ?: ChunkReader(body.source()).also { chunks = it }
        }
        try {
            // A read blocks and ignores cancellation. `cancel` ends it, and the caller always calls `cancel`.
            return withContext(Dispatchers.IO) { reader.next() }
        } catch (error: IOException) {
            throw error.toTransportException(call)
        } finally {
            synchronized(lock) { reading = false }
            closeIfCancelled()
        }
    }

    override fun cancel() {
        synchronized(lock) { cancelled = true }
        call.cancel()
        closeIfCancelled()
    }

    private fun closeIfCancelled() {
        val unwanted = synchronized(lock) {
            if (cancelled && !reading) response.also { response = null } else null
        }
        // Does not block: the call is cancelled, so there is nothing left to read from the connection.
        unwanted?.close()
    }
}

private suspend fun Call.awaitResponse(): Response = suspendCancellableCoroutine { continuation ->
    continuation.invokeOnCancellation { cancel() }
    enqueue(object : Callback {
        override fun onFailure(call: Call, e: IOException) {
            continuation.resumeWithException(e)
        }

        override fun onResponse(call: Call, response: Response) {
            continuation.resume(response) { _, unwanted, _ -> unwanted.close() }
        }
    })
}
