package io.keyferry

import java.nio.file.Path
import java.util.concurrent.atomic.AtomicLong
import kotlinx.coroutines.delay
import okhttp3.OkHttpClient
import okhttp3.ResponseBody.Companion.asResponseBody
import okio.Buffer
import okio.ForwardingSource
import okio.buffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class BackPressureTest {
    @TempDir
    lateinit var directory: Path

    private val received = AtomicLong()

    /** Counts the bytes that OkHttp reads from connections, before they are put into chunks. */
    private val counting = OkHttpClient.Builder().addNetworkInterceptor { chain ->
        val response = chain.proceed(chain.request())
        val body = response.body ?: return@addNetworkInterceptor response
        val counted = object : ForwardingSource(body.source()) {
            override fun read(sink: Buffer, byteCount: Long): Long =
                super.read(sink, byteCount).also { if (it > 0) received.addAndGet(it) }
        }
        val counting = counted.buffer().asResponseBody(body.contentType(), body.contentLength())
        response.newBuilder().body(counting).build()
    }.build()

    @Test
    fun `the transport reads a body only as far as chunks are requested`() = test {
        Homeserver("--keys", "20000", "--rooms", "2").use { homeserver ->
            val exchange = OkHttpTransport(counting).start(homeserver.request("/room_keys/keys?version=1"))
            exchange.head()
            var taken = 0L
            repeat(20) {
                taken += exchange.nextChunk()?.size ?: 0
                // Gives a transport that reads ahead the time to do so.
                delay(20)
                assertTrue(received.get() - taken <= 16 * 1024, "${received.get()} bytes received, $taken taken")
            }
            assertTrue(taken in 1..<20L * 64 * 1024 + 1)
            exchange.cancel()
        }
    }

    @Test
    fun `a slow reader gets the whole body`() = test {
        Homeserver("--keys", "20000", "--rooms", "4").use { homeserver ->
            val reader = SlowReader(OkHttpTransport(counting))
            homeserver.open(directory, transport = reader).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                val report = backup.run()
                assertCompleted(report.outcome)
                assertEquals(20_000uL, report.summary.opened)
            }
            assertEquals(received.get(), reader.taken.get())
            assertTrue(reader.mostAhead.get() <= 4 * 64 * 1024, "${reader.mostAhead} bytes ahead")
        }
    }

    @Test
    fun `a slow sink gets every key once`() = test {
        Homeserver("--keys", "20000", "--rooms", "4").use { homeserver ->
            val sink = RecordingSink(pauseMs = 100)
            homeserver.open(directory, sink).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                assertCompleted(backup.run().outcome)
                assertEquals(20_000, sink.keys.size)
                assertEquals(20_000, sink.names.toSet().size)
            }
        }
    }

    /** Waits before every chunk, and records how far the connections have read ahead of the chunks taken. */
    private inner class SlowReader(private val transport: HttpTransport) : HttpTransport by transport {
        val taken = AtomicLong()
        val mostAhead = AtomicLong()

        override fun start(request: HttpRequest): HttpExchange {
            val exchange = transport.start(request)
            return object : HttpExchange by exchange {
                override suspend fun nextChunk(): ByteArray? {
                    delay(5)
                    val chunk = exchange.nextChunk()
                    taken.addAndGet(chunk?.size?.toLong() ?: 0)
                    mostAhead.accumulateAndGet(received.get() - taken.get(), ::maxOf)
                    return chunk
                }
            }
        }
    }
}
