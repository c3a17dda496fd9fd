package io.keyferry

import java.nio.file.Path
import java.util.Collections
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertInstanceOf

/** The outcome of a run that got the whole backup in one answer. */
internal val WHOLE = RunOutcome.Completed(CompletionProof.WHOLE, 0u)

/** Asserts that the run completed, in one answer or, if an answer was cut, in several. */
internal fun assertCompleted(outcome: RunOutcome, message: String = "") {
    assertInstanceOf(RunOutcome.Completed::class.java, outcome, message)
}

/** Runs a test, and fails it if it hangs. */
internal fun test(block: suspend CoroutineScope.() -> Unit): Unit =
    runBlocking(Dispatchers.Default) { withTimeout(60.seconds) { block() } }

/** Asserts that [block] throws a [T], and returns it. */
internal suspend inline fun <reified T : Throwable> thrownBy(crossinline block: suspend () -> Unit): T =
    assertInstanceOf(T::class.java, runCatching { block() }.exceptionOrNull())

internal suspend fun Homeserver.open(
    directory: Path,
    sink: RoomKeySink? = null,
    transport: HttpTransport = OkHttpTransport(),
    crypto: SmallCrypto? = null,
    scheduleWakeUp: suspend (WakeUpPurpose, WakeUp?) -> Unit = { _, _ -> },
): KeyBackup = KeyBackup.open(
    options(directory),
    { accessToken },
    scheduleWakeUp = scheduleWakeUp,
    sink = sink,
    transport = transport,
    secretKeeper = crypto,
    backupSigner = crypto,
    roomKeySource = crypto,
)

/** Keeps the wake-ups that were requested. */
internal class WakeUps {
    private val all = CopyOnWriteArrayList<Pair<WakeUpPurpose, WakeUp?>>()

    val count: Int get() = all.size

    fun count(purpose: WakeUpPurpose): Int = all.count { it.first == purpose }

    fun last(purpose: WakeUpPurpose): WakeUp? = all.last { it.first == purpose }.second

    suspend fun take(purpose: WakeUpPurpose, wakeUp: WakeUp?) {
        all += purpose to wakeUp
    }
}

/** A sink that keeps the keys it is given. */
internal class RecordingSink(private val pauseMs: Long = 0) : RoomKeySink {
    val keys: MutableList<RoomKey> = Collections.synchronizedList(mutableListOf())

    /** While this is set, the sink throws it and keeps no keys. */
    @Volatile
    var failure: Throwable? = null

    val names: List<Pair<String, String>>
        get() = synchronized(keys) { keys.map { it.roomId to it.sessionId } }

    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> {
        delay(pauseMs)
        failure?.let { throw it }
        this.keys += keys
        return keys.map { SinkAnswer.Imported }
    }

    override fun limits(): SinkLimits = SinkLimits()
}
