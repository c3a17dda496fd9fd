package io.keyferry

import java.io.Closeable
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.launch

/** Reports causes that come and go, in order, and each change once. Does not end them when it is closed. */
internal class ConditionReporter(private val backup: KeyBackupApi) : Closeable {
    private val reports = Channel<Pair<PauseCause, Boolean>>(Channel.UNLIMITED)
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    init {
        scope.launch {
            val held = mutableSetOf<PauseCause>()
            for ((cause, holds) in reports) {
                if (holds && held.add(cause)) tell { backup.pause(cause) }
                // Only what was paused is resumed: `resume` requests a wake-up.
                if (!holds && held.remove(cause)) tell { backup.resume(cause) }
            }
        }
    }

    /** Queues a report and returns at once. May be called from any thread. */
    fun report(cause: PauseCause, holds: Boolean) {
        reports.trySend(cause to holds)
    }

    override fun close() {
        reports.close()
        scope.cancel()
    }

    private suspend fun tell(call: suspend () -> Unit) {
        try {
            call()
        } catch (_: AccessException) {
            // The backup is closed. Only the user's pause, which is not reported here, is written to the vault.
        }
    }
}
