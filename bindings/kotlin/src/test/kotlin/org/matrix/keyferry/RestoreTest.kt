package org.matrix.keyferry

import java.nio.file.Files
import java.nio.file.Path
import java.util.Collections
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import org.matrix.keyferry.ffi.BlockedReason
import org.matrix.keyferry.ffi.HttpHeader
import org.matrix.keyferry.ffi.HttpMethod
import org.matrix.keyferry.ffi.HttpRequest
import org.matrix.keyferry.ffi.OpenException
import org.matrix.keyferry.ffi.RoomKey
import org.matrix.keyferry.ffi.RoomKeyLookup
import org.matrix.keyferry.ffi.RoomKeySink
import org.matrix.keyferry.ffi.RunOutcome
import org.matrix.keyferry.ffi.SinkAnswer
import org.matrix.keyferry.ffi.TransportException
import org.matrix.keyferry.ffi.UnlockException
import org.matrix.keyferry.ffi.UnlockSecret

class RestoreTest {
    @TempDir
    lateinit var directory: Path

    private class Recorder(private val pauseMs: Long = 0, var throwing: Boolean = false) : RoomKeySink {
        val keys: MutableList<RoomKey> = Collections.synchronizedList(mutableListOf())

        override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> {
            delay(pauseMs)
            // Not declared anywhere: it must not become a panic on the other side.
            check(!throwing) { "on purpose" }
            this.keys += keys
            return keys.map { SinkAnswer.Imported }
        }
    }

    private suspend fun open(homeserver: Homeserver, sink: RoomKeySink? = null) =
        KeyBackup.open(homeserver.options(directory), { homeserver.text("access_token") }, sink = sink)

    private fun recoveryKey(homeserver: Homeserver) = UnlockSecret.RecoveryKey(homeserver.text("recovery_key"))

    private fun test(block: suspend kotlinx.coroutines.CoroutineScope.() -> Unit) =
        runBlocking { withTimeout(120.seconds) { block() } }

    @Test
    fun `a whole backup is restored into a sink and found`() = test {
        Homeserver("--keys", "2000", "--rooms", "20").use { homeserver ->
            val sink = Recorder()
            open(homeserver, sink).use { backup ->
                backup.unlock(recoveryKey(homeserver))
                val report = backup.run()
                assertEquals(RunOutcome.Completed, report.outcome)
                assertEquals(2000uL, report.summary.delivered)
                assertEquals(2000, sink.keys.map { it.roomId to it.sessionId }.toSet().size)
                assertEquals(2000, sink.keys.size)
                assertTrue(sink.keys.any { it.sharedHistory } && sink.keys.any { !it.sharedHistory })
                assertEquals(2000uL, backup.progress.value?.delivered)

                val key = sink.keys.first()
                val found = assertInstanceOf(RoomKeyLookup.Found::class.java, backup.findRoomKey(key.roomId, key.sessionId))
                assertEquals(key, found.key)
                assertEquals(100, backup.roomKeys(key.roomId).toList().size)

                val export = directory.resolve("keys.txt")
                assertEquals(2000uL, backup.client.exportRoomKeys("passphrase", export.toString()).exported)
                assertEquals("-----BEGIN MEGOLM SESSION DATA-----", Files.readAllLines(export).first())
            }
            // After a restart nothing is asked of the user, and nothing comes again.
            open(homeserver, sink).use { assertEquals(RunOutcome.Completed, it.run().outcome) }
            assertEquals(2000, sink.keys.size)
        }
    }

    @Test
    fun `errors are typed`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            val options = homeserver.options(directory)
            val bad = options.copy(account = options.account.copy(homeserverUrl = "no url"))
            assertThrows(OpenException.InvalidHomeserverUrl::class.java) {
                runBlocking { KeyBackup.open(bad, { "" }) }
            }
            open(homeserver).use { backup ->
                val typo = homeserver.text("recovery_key").replaceRange(5, 6, "z")
                assertThrows(UnlockException.Mistyped::class.java) {
                    runBlocking { backup.unlock(UnlockSecret.RecoveryKey(typo)) }
                }
                assertThrows(UnlockException.WrongKey::class.java) {
                    runBlocking { backup.unlock(UnlockSecret.Passphrase("something else")) }
                }
            }
        }
    }

    @Test
    fun `a sink that throws blocks the run and a later run completes`() = test {
        Homeserver("--keys", "1500", "--rooms", "3").use { homeserver ->
            val sink = Recorder(throwing = true)
            open(homeserver, sink).use { backup ->
                backup.unlock(recoveryKey(homeserver))
                val blocked = assertInstanceOf(RunOutcome.Blocked::class.java, backup.run().outcome)
                assertEquals(BlockedReason.SINK_UNAVAILABLE, blocked.reason)
                sink.throwing = false
                assertEquals(RunOutcome.Completed, backup.run().outcome)
                assertEquals(1500, sink.keys.size)
            }
        }
    }

    @Test
    fun `a cancelled coroutine leaves a vault that the next run goes on from`() = test {
        Homeserver("--keys", "10000", "--rooms", "10", "--bytes-per-second", "4000000").use { homeserver ->
            val sink = Recorder(pauseMs = 20)
            open(homeserver, sink).use { backup ->
                backup.unlock(recoveryKey(homeserver))
                val run = launch { backup.run() }
                delay(700)
                run.cancel()
                run.join()
                var outcome = backup.run().outcome
                while (outcome == RunOutcome.AlreadyRunning) {
                    delay(20)
                    outcome = backup.run().outcome
                }
                assertEquals(RunOutcome.Completed, outcome)
                assertEquals(10_000, sink.keys.map { it.roomId to it.sessionId }.toSet().size)
            }
        }
    }

    @Test
    fun `cancelling an exchange ends a wait, and a redirect is not followed`() = test {
        Homeserver("--keys", "10", "--rooms", "1").use { homeserver ->
            val request = HttpRequest(
                HttpMethod.GET,
                homeserver.text("homeserver_url") + "/_matrix/client/v3/joined_rooms",
                listOf(HttpHeader("Authorization", "Bearer " + homeserver.text("access_token"))),
                null,
                60_000uL,
            )
            homeserver.setFaults("""[{"kind":"stall","after_bytes":3}]""")
            val exchange = OkHttpTransport().start(request)
            assertEquals(200, exchange.head().status.toInt())
            assertEquals(3, exchange.nextChunk()?.size)
            launch {
                delay(200)
                exchange.cancel()
            }
            val ended = runCatching { exchange.nextChunk() }
            assertInstanceOf(TransportException.Closed::class.java, ended.exceptionOrNull())

            homeserver.setFaults("""[{"kind":"redirect","location":"http://127.0.0.1:1/"}]""")
            assertEquals(302, OkHttpTransport().start(request).head().status.toInt())
            homeserver.setFaults("""[{"kind":"cut_body","after_bytes":3}]""")
            val cut = OkHttpTransport().start(request)
            cut.head()
            val broken = runCatching { while (cut.nextChunk() != null) Unit }
            assertInstanceOf(TransportException.Interrupted::class.java, broken.exceptionOrNull())
        }
    }
}
