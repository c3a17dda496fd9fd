package org.matrix.keyferry

import java.io.IOException
import java.net.ConnectException
import java.net.NoRouteToHostException
import java.net.SocketTimeoutException
import java.net.UnknownHostException
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicReference
import javax.net.ssl.SSLHandshakeException
import javax.net.ssl.SSLPeerUnverifiedException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withContext
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import okhttp3.Call
import okhttp3.Callback
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody
import okhttp3.Response
import org.matrix.keyferry.ffi.HttpExchange
import org.matrix.keyferry.ffi.HttpHead
import org.matrix.keyferry.ffi.HttpHeader
import org.matrix.keyferry.ffi.HttpRequest
import org.matrix.keyferry.ffi.HttpTransport
import org.matrix.keyferry.ffi.TransportException

/** Bytes that are read from a body at a time. */
private const val CHUNK_BYTES = 64 * 1024

/**
 * An [HttpTransport] over OkHttp. The body is read only when the next chunk is asked for, so that memory stays flat when
 * the disk or the sink is slower than the network.
 *
 * @param client the app's client, with its TLS settings and proxies; redirects, cache and the limit on whole calls are
 *   switched off in a copy that shares its connections.
 */
class OkHttpTransport(client: OkHttpClient = OkHttpClient()) : HttpTransport {
    private val client =
        client.newBuilder().followRedirects(false).followSslRedirects(false).cache(null).callTimeout(0, TimeUnit.SECONDS).build()

    override fun start(request: HttpRequest): HttpExchange {
        val builder = try {
            Request.Builder().url(request.url)
        } catch (error: IllegalArgumentException) {
            throw TransportException.Failed("invalid URL")
        }
        request.headers.forEach { builder.addHeader(it.name, it.value) }
        builder.method(request.method.name.uppercase(), request.body?.toRequestBody())
        val patient = client.newBuilder().readTimeout(request.idleTimeoutMs.toLong(), TimeUnit.MILLISECONDS).build()
        return OkHttpExchange(patient.newCall(builder.build()))
    }
}

private class OkHttpExchange(private val call: Call) : HttpExchange {
    private val response = AtomicReference<Response?>()

    override suspend fun head(): HttpHead {
        val answer = suspendCancellableCoroutine { continuation ->
            continuation.invokeOnCancellation { call.cancel() }
            call.enqueue(object : Callback {
                override fun onFailure(call: Call, e: IOException) = continuation.resumeWithException(sort(e))

                override fun onResponse(call: Call, response: Response) =
                    continuation.resume(response) { _, unwanted, _ -> unwanted.close() }
            })
        }
        response.set(answer)
        return HttpHead(answer.code.toUShort(), answer.headers.map { (name, value) -> HttpHeader(name, value) })
    }

    override suspend fun nextChunk(): ByteArray? {
        val source = response.get()?.body?.source() ?: throw TransportException.Closed()
        return withContext(Dispatchers.IO) {
            try {
                val buffer = ByteArray(CHUNK_BYTES)
                val read = source.read(buffer)
                if (read < 0) null else buffer.copyOf(read)
            } catch (error: IOException) {
                throw sort(error)
            } catch (error: IllegalStateException) {
                // OkHttp says so of a body that was closed meanwhile.
                throw TransportException.Closed()
            }
        }
    }

    override fun cancel() {
        // Ends a read that blocks, which closing the body alone would wait for.
        call.cancel()
    }

    private fun sort(error: IOException): TransportException = when {
        call.isCanceled() -> TransportException.Closed()
        error is UnknownHostException || error is ConnectException || error is NoRouteToHostException ->
            TransportException.Offline()
        error is SocketTimeoutException -> TransportException.Timeout()
        error is SSLHandshakeException || error is SSLPeerUnverifiedException -> TransportException.Tls()
        else -> TransportException.Interrupted()
    }
}
