package io.keyferry

import java.io.ByteArrayOutputStream
import java.io.IOException
import java.nio.file.Files
import java.nio.file.Path
import java.util.Collections
import java.util.concurrent.atomic.AtomicLong
import kotlin.io.path.readLines
import kotlinx.coroutines.flow.toList
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 2_000
private const val ROOMS = 20

internal class RestoreTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `every key of a backup reaches the sink once`() = withHomeserver { homeserver ->
        val sink = RecordingSink()
        homeserver.open(directory, sink).use { backup ->
            assertEquals(KEYS.toULong(), backup.unlock(homeserver.recoveryKey).total)
            val report = backup.run()
            assertCompleted(report.outcome)
            assertEquals(KEYS.toULong(), report.summary.delivered)
            assertEquals(0uL, report.summary.failed)
            assertEquals(KEYS, sink.keys.size)
            assertEquals(KEYS, sink.names.toSet().size)
            assertEquals(ROOMS, sink.keys.map { it.roomId }.toSet().size)
            // The homeserver marks half of the keys, at random, as shared history.
            assertTrue(sink.keys.count { it.sharedHistory } in KEYS / 3..2 * KEYS / 3)
            val room = sink.keys.first().roomId
            val counts = backup.roomHistoryShareability(room)
            assertEquals(sink.keys.count { it.roomId == room && it.sharedHistory }.toULong(), counts.shareable)
            assertEquals(0uL, counts.notFetchedAtMost)
            assertEquals(KEYS.toULong(), backup.progress.value.delivered)
            assertEquals(DownloadStage.RESTING, backup.progress.value.stage)
        }
    }

    @Test
    fun `a second opening needs no unlock and delivers nothing again`() = withHomeserver { homeserver ->
        val sink = RecordingSink()
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertCompleted(backup.run().outcome)
        }
        homeserver.open(directory, sink).use { backup ->
            assertEquals(KEYS.toULong(), backup.progress.value.delivered)
            assertTrue(backup.status().unlocked)
            assertCompleted(backup.run().outcome)
        }
        assertEquals(KEYS, sink.keys.size)
    }

    @Test
    fun `keys are found, listed and exported`() = withHomeserver { homeserver ->
        val sink = RecordingSink()
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            backup.run()
            val key = sink.keys.random()
            val found = backup.findRoomKey(key.roomId, key.sessionId)
            assertEquals(key, assertInstanceOf(RoomKeyLookup.Found::class.java, found).key)
            assertEquals(RoomKeyLookup.NotFound, backup.findRoomKey(key.roomId, sink.keys.first { it.roomId != key.roomId }.sessionId))
            backup.closeLookups()
            assertEquals(KEYS / ROOMS, backup.roomKeys(key.roomId).toList().toSet().size)

            val arrived = backup.arrivedSince().toList().flatMap { it.arrived }
            assertEquals(sink.names.toSet(), arrived.flatMap { room -> room.sessionIds.map { room.roomId to it } }.toSet())
            assertEquals(KEYS, arrived.sumOf { it.sessionIds.size })

            val export = directory.resolve("keys.txt")
            assertEquals(KEYS.toULong(), backup.exportRoomKeys("passphrase", export.toFile()).exported)
            assertEquals("-----BEGIN MEGOLM SESSION DATA-----", export.readLines().first())
            assertTrue(Files.size(export) > KEYS * 500L)
        }
    }

    @Test
    fun `keys are exported to a stream, or nothing is written`() = withHomeserver("--keys", "30") { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            backup.run()
            val output = ByteArrayOutputStream()
            thrownBy<ExportException.EmptyPassphrase> { backup.exportRoomKeys("", output) }
            thrownBy<ExportException.EmptyPassphrase> { backup.exportRoomKeys("") { fail("it is opened") } }
            assertEquals(0, output.size())
            assertEquals(30uL, backup.exportRoomKeys("passphrase", output).exported)
            assertTrue(output.toString().startsWith("-----BEGIN MEGOLM SESSION DATA-----"))
            thrownBy<ExportException.UnwritableFile> { backup.exportRoomKeys("passphrase") { throw IOException() } }
        }
    }

    @Test
    fun `keys come as files, in halves if a file is refused`() = withHomeserver("--keys", "30") { homeserver ->
        val files = Collections.synchronizedList(mutableListOf<KeyFile>())
        val sink = keyFileSink { file ->
            if (file.keys > 4u) throw CryptoException.Refused("too many")
            files += file
        }
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertEquals(30uL, backup.run().summary.delivered)
        }
        assertEquals(30uL, files.sumOf { it.keys })
        assertTrue(files.all { it.content.startsWith("-----BEGIN MEGOLM SESSION DATA-----") })
        assertEquals(files.size, files.map { it.passphrase }.toSet().size)
    }

    @Test
    fun `keys of the machine's own backup come as JSON with the version, and all others as files`() {
        for ((own, isOwn) in listOf("1" to true, "2" to false, null to false)) withHomeserver("--keys", "30") { homeserver ->
            val (arrays, files) = AtomicLong() to AtomicLong()
            val sink = cryptoFfiSink(
                ownVersion = { own },
                importFromBackup = { json, version ->
                    assertEquals("1", version)
                    arrays.addAndGet(json.split("\"session_key\":").size - 1L)
                },
                importFile = { file -> files.addAndGet(file.keys.toLong()) },
            )
            homeserver.open(directory.resolve("$own"), sink).use { backup ->
                backup.unlock(homeserver.recoveryKey)
                assertEquals(30uL, backup.run().summary.delivered)
            }
            assertEquals(if (isOwn) 30L to 0L else 0L to 30L, arrays.get() to files.get(), "$own")
        }
    }

    @Test
    fun `a key that is refused alone is listed`() = withHomeserver("--keys", "30") { homeserver ->
        val sink = keyFileSink { throw CryptoException.Refused("never") }
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertEquals(30uL, backup.run().summary.refused)
            assertEquals(List(30) { "never" }, backup.refusals().toList().map { it.reason })
        }
    }

    @Test
    fun `keys that the sink refuses are listed with their reason`() = withHomeserver("--keys", "30") { homeserver ->
        val sink = roomKeySink { keys -> keys.map { SinkAnswer.Refused("too old") } }
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertEquals(30uL, backup.run().summary.refused)
            assertEquals(List(30) { "too old" }, backup.refusals().toList().map { it.reason })
        }
    }

    @Test
    fun `a sink says how many keys a batch may have`() = withHomeserver { homeserver ->
        val batches = Collections.synchronizedList(mutableListOf<Int>())
        val sink = roomKeySink(SinkLimits(batchKeys = 60u)) { keys ->
            batches += keys.size
            keys.map { SinkAnswer.Imported }
        }
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertEquals(KEYS.toULong(), backup.run().summary.delivered)
        }
        assertEquals(60, batches.max())
    }

    @Test
    fun `a sink whose limits throw gets batches of the usual size`() = withHomeserver { homeserver ->
        val sink = object : RoomKeySink {
            override suspend fun deliver(keys: List<RoomKey>) = keys.map { SinkAnswer.Imported }

            override fun limits(): SinkLimits = error("on purpose")
        }
        homeserver.open(directory, sink).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            assertEquals(KEYS.toULong(), backup.run().summary.delivered)
        }
    }

    private fun withHomeserver(vararg arguments: String, block: suspend (Homeserver) -> Unit) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "$ROOMS", *arguments).use { block(it) }
    }
}
