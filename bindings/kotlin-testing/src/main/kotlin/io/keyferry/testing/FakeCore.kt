package io.keyferry.testing

import io.keyferry.PauseCause
import java.util.concurrent.CopyOnWriteArrayList
import kotlinx.coroutines.flow.MutableStateFlow

/** What the parts of a [FakeKeyBackup] share: the calls that were made, the failures to throw, and what holds runs. */
internal class FakeCore {
    val calls: MutableList<String> = CopyOnWriteArrayList()
    val failures = ArrayDeque<Exception>()
    val causes = MutableStateFlow<Set<PauseCause>>(emptySet())
    var isStopped = false

    suspend fun <T> called(name: String, answer: suspend () -> T): T {
        calls += name
        failures.removeFirstOrNull()?.let { throw it }
        return answer()
    }

    /** Returns how a run ends that may do nothing, or `null` if it may work. */
    fun <T> held(stopped: T, paused: (List<PauseCause>) -> T): T? = when {
        isStopped -> stopped
        causes.value.isNotEmpty() -> paused(causes.value.sorted())
        else -> null
    }
}
