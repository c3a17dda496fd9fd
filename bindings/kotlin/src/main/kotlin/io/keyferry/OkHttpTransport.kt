package io.keyferry

import java.util.concurrent.SynchronousQueue
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit
import okhttp3.Authenticator
import okhttp3.ConnectionPool
import okhttp3.Dispatcher
import okhttp3.Headers
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody

/**
 * An [HttpTransport] over OkHttp. It reads a body only when the next chunk is requested, so that memory stays flat
 * when the disk or the sink is slower than the network. (Over HTTP/2, OkHttp itself reads up to 16 MiB ahead, unless
 * the client is limited to `Protocol.HTTP_1_1`.)
 *
 * ```
 * KeyBackup.open(options, accessToken, transport = OkHttpTransport(appClient))
 * ```
 *
 * @param client the app's client, with its proxies, certificates and interceptors. Its connections are shared,
 *   including those that it keeps open while no request of this library is under way. For this library's requests,
 *   redirects, the cache, authentication after a 401 and the timeout of whole calls are switched off. An interceptor
 *   must not read bodies, as a logging interceptor of level `BODY` does: it would hold a whole backup in memory.
 *   `null`: a separate client, which keeps no connection open
 */
public class OkHttpTransport(client: OkHttpClient? = null) : HttpTransport {
    private val isShared = client != null

    private val client = (client?.newBuilder() ?: OkHttpClient.Builder().dispatcher(Dispatcher(daemons())))
        .followRedirects(false)
        .followSslRedirects(false)
        .authenticator(Authenticator.NONE)
        .cache(null)
        .callTimeout(0, TimeUnit.MILLISECONDS)
        .build()

    internal val connections: ConnectionPool get() = client.connectionPool

    override fun start(request: HttpRequest): HttpExchange {
        val idle = request.idleTimeout.inWholeMilliseconds.coerceAtMost(Int.MAX_VALUE.toLong())
        val patient = client.newBuilder()
            .readTimeout(idle, TimeUnit.MILLISECONDS)
            // A request that creates something must not be sent again.
            .retryOnConnectionFailure(request.method != HttpMethod.POST)
            .writeTimeout(idle, TimeUnit.MILLISECONDS)
            .build()
        return OkHttpExchange(patient.newCall(request.toOkHttp()))
    }

    /** Closes connections that no request uses now. Does nothing if the client is the app's. */
    override fun closeIdle() {
        if (!isShared) connections.evictAll()
    }
}

/** Returns an executor as OkHttp makes one, but without threads that keep a program from ending for a minute. */
private fun daemons() = ThreadPoolExecutor(0, Int.MAX_VALUE, 1, TimeUnit.SECONDS, SynchronousQueue()) { work ->
    Thread(work, "keyferry OkHttp").apply { isDaemon = true }
}

private fun HttpRequest.toOkHttp(): Request = try {
    val headers = Headers.Builder().apply { this@toOkHttp.headers.forEach { add(it.name, it.value) } }.build()
    val body = when (method) {
        HttpMethod.GET, HttpMethod.DELETE -> null
        HttpMethod.PUT, HttpMethod.POST -> (body ?: ByteArray(0)).toRequestBody()
    }
    Request.Builder().url(url).headers(headers).method(method.name, body).build()
} catch (_: IllegalArgumentException) {
    // Without the message of the exception, which may quote the token.
    throw TransportException.Failed("the URL or a header is invalid")
}
