package io.keyferry

import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.atomic.AtomicLong
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.condition.EnabledOnOs
import org.junit.jupiter.api.condition.OS
import org.junit.jupiter.api.io.TempDir

/** The heap of these tests has its full size from the start (pom.xml), so any growth is native memory. */
@EnabledOnOs(OS.LINUX, disabledReason = "reads the memory of the process from /proc")
internal class MemoryTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `memory use stays flat with a slow reader and a slow sink`() = test {
        // The first restore allocates the memory that every restore needs.
        restore(keys = 20_000, dawdleMs = 0)
        val before = residentBytes()
        val most = AtomicLong(before)
        coroutineScope {
            val watch = launch {
                while (true) {
                    most.accumulateAndGet(residentBytes(), ::maxOf)
                    delay(10)
                }
            }
            restore(keys = 80_000, dawdleMs = 4)
            watch.cancel()
        }
        val growth = (most.get() - before) / MEBIBYTE
        println("memory grew by $growth MiB over a backup of ${80_000L * 860 / MEBIBYTE} MiB")
        assertTrue(growth < 32, "$growth MiB")
    }

    private suspend fun restore(keys: Int, dawdleMs: Long) {
        Homeserver("--keys", "$keys", "--rooms", "8").use { homeserver ->
            val taken = AtomicLong()
            val sink = roomKeySink { keys ->
                delay(10 * dawdleMs)
                taken.addAndGet(keys.size.toLong())
                keys.map { SinkAnswer.Imported }
            }
            homeserver.open(directory.resolve("$keys"), sink, SlowReader(dawdleMs)).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                assertCompleted(backup.run().outcome)
            }
            assertEquals(keys.toLong(), taken.get())
        }
    }

    private class SlowReader(
        private val dawdleMs: Long,
        private val transport: HttpTransport = OkHttpTransport(),
    ) : HttpTransport by transport {
        override fun start(request: HttpRequest): HttpExchange {
            val exchange = transport.start(request)
            return object : HttpExchange by exchange {
                override suspend fun nextChunk(): ByteArray? {
                    delay(dawdleMs)
                    return exchange.nextChunk()
                }
            }
        }
    }

    private fun residentBytes(): Long =
        Files.readAllLines(Path.of("/proc/self/status")).first { it.startsWith("VmRSS:") }.filter(Char::isDigit).toLong() * 1024

    private companion object {
        const val MEBIBYTE = 1_048_576L
    }
}
