package io.keyferry

import java.net.ServerSocket
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import okhttp3.OkHttpClient
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private const val ALL_KEYS = "/room_keys/keys?version=1"

internal class OkHttpTransportTest {
    private val transport = OkHttpTransport()

    @Test
    fun `a body arrives complete, in few chunks`() = withHomeserver { homeserver ->
        val exchange = transport.start(homeserver.request(ALL_KEYS))
        val head = exchange.head()
        assertEquals(200, head.status.toInt())
        val chunks = exchange.all()
        assertTrue(chunks.all { it in 1..64 * 1024 })
        assertTrue(chunks.size < chunks.sum() / 16_384 + 10, "${chunks.size} chunks")
        val length = head.headers.firstOrNull { it.name.equals("content-length", ignoreCase = true) }
        length?.let { assertEquals(it.value.toInt(), chunks.sum()) }
        assertNull(exchange.nextChunk())
        exchange.cancel()
        thrownBy<TransportException.Closed> { exchange.nextChunk() }
    }

    @Test
    fun `no thread of its own client keeps a program from ending`() = withHomeserver { homeserver ->
        val before = Thread.getAllStackTraces().keys
        val exchange = transport.start(homeserver.request(ALL_KEYS))
        exchange.head()
        exchange.all()
        transport.closeIdle()
        val left = (Thread.getAllStackTraces().keys - before).filter { it.isAlive && !it.isDaemon }
        assertEquals(emptyList<Thread>(), left)
    }

    @Test
    fun `cancelling ends a wait for the head or for a chunk`() = withHomeserver { homeserver ->
        homeserver.setFaults("""[{"kind":"silence","times":1},{"kind":"stall","after_bytes":100}]""")
        val silent = transport.start(homeserver.request(ALL_KEYS))
        val head = async { runCatching { silent.head() } }
        delay(200)
        silent.cancel()
        assertTrue(head.await().exceptionOrNull() is TransportException.Closed)

        val stalled = transport.start(homeserver.request(ALL_KEYS))
        stalled.head()
        assertEquals(100, stalled.nextChunk()?.size)
        val chunk = async { runCatching { stalled.nextChunk() } }
        delay(200)
        stalled.cancel()
        stalled.cancel()
        assertTrue(chunk.await().exceptionOrNull() is TransportException.Closed)
    }

    @Test
    fun `an exchange that is cancelled before it begins fails as closed`() = withHomeserver { homeserver ->
        val exchange = transport.start(homeserver.request(ALL_KEYS))
        exchange.cancel()
        thrownBy<TransportException.Closed> { exchange.head() }
        thrownBy<TransportException.Closed> { exchange.nextChunk() }
    }

    @Test
    fun `a silent server causes a timeout`() = withHomeserver { homeserver ->
        homeserver.setFaults("""[{"kind":"silence","times":1},{"kind":"stall","after_bytes":100}]""")
        thrownBy<TransportException.Timeout> { transport.start(homeserver.request(ALL_KEYS, 300.milliseconds)).head() }
        thrownBy<TransportException.Timeout> {
            transport.start(homeserver.request(ALL_KEYS, 300.milliseconds)).apply { head() }.all()
        }
    }

    @Test
    fun `a body that ends too soon is an error`() = withHomeserver { homeserver ->
        for (fault in listOf("cut_body", "reset")) {
            homeserver.setFaults("""[{"kind":"$fault","after_bytes":20000}]""")
            thrownBy<TransportException.Interrupted> {
                transport.start(homeserver.request(ALL_KEYS)).apply { head() }.all()
            }
        }
        homeserver.setFaults("""[{"kind":"wrong_length","declared":10000000}]""")
        thrownBy<TransportException.Interrupted> {
            transport.start(homeserver.request(ALL_KEYS)).apply { head() }.all()
        }
    }

    @Test
    fun `a redirect is returned and not followed`() = withHomeserver { homeserver ->
        homeserver.setFaults("""[{"kind":"redirect","location":"http://127.0.0.1:1/"}]""")
        val head = transport.start(homeserver.request(ALL_KEYS)).head()
        assertEquals(302, head.status.toInt())
        val location = head.headers.single { it.name.equals("location", ignoreCase = true) }
        assertEquals("http://127.0.0.1:1/", location.value)
    }

    @Test
    fun `an unreachable server counts as offline, and an invalid request fails`() = withHomeserver { homeserver ->
        val request = homeserver.request(ALL_KEYS)
        val closedPort = ServerSocket(0).use { it.localPort }
        thrownBy<TransportException.Offline> {
            transport.start(request.copy(url = "http://127.0.0.1:$closedPort/")).head()
        }
        thrownBy<TransportException.Offline> {
            transport.start(request.copy(url = "http://nobody.invalid/")).head()
        }
        thrownBy<TransportException.Failed> { transport.start(request.copy(url = "no url")) }
        val failed = thrownBy<TransportException.Failed> {
            transport.start(request.copy(headers = listOf(HttpHeader("Authorization", "secret\n"))))
        }
        assertTrue("secret" !in failed.detail)
    }

    @Test
    fun `closeIdle closes its own idle connections and leaves those of the app`() = withHomeserver { homeserver ->
        for ((transport, left) in listOf(transport to 0, OkHttpTransport(OkHttpClient()) to 1)) {
            transport.start(homeserver.request(ALL_KEYS)).apply { head() }.all()
            assertEquals(1, transport.connections.idleConnectionCount())
            transport.closeIdle()
            assertEquals(left, transport.connections.connectionCount())
        }
    }

    /** Reads a body to its end and returns the sizes of its chunks. */
    private suspend fun HttpExchange.all(): List<Int> = buildList {
        while (true) add(nextChunk()?.size ?: break)
    }

    private fun withHomeserver(block: suspend CoroutineScope.(Homeserver) -> Unit) = test {
        Homeserver("--keys", "2000", "--rooms", "20").use { block(it) }
    }
}
