package io.keyferry.testing

import io.keyferry.CompletionProof
import io.keyferry.DownloadProgress
import io.keyferry.DownloadStage
import io.keyferry.RunOutcome
import io.keyferry.WakeUp
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds

/**
 * What one run of a [FakeKeyBackup] does: shows this [progress], step by step, and ends with this [outcome].
 *
 * @property progress the values that the run emits, in order
 * @property outcome how it ends
 * @property stepTime how long each value stays before the next one. With the virtual time of a test dispatcher this
 *   takes no time
 * @property wakeUp the wake-up that the run asks for at its end
 */
public data class FakeRun(
    val progress: List<DownloadProgress>,
    val outcome: RunOutcome = COMPLETED,
    val stepTime: Duration = 100.milliseconds,
    val wakeUp: WakeUp? = null,
) {
    public companion object {
        /** The outcome of a run that got the whole backup. */
        public val COMPLETED: RunOutcome = RunOutcome.Completed(CompletionProof.WHOLE, 0u)

        /** Returns a run that fetches, opens and delivers [keys] keys in [steps] steps each. */
        public fun ofKeys(keys: ULong, steps: Int = 4): FakeRun {
            val parts = (1..steps).map { keys * it.toULong() / steps.toULong() }
            val fetching = parts.map { fakeProgress(DownloadStage.FETCHING, total = keys, fetched = it) }
            val delivering = parts.map { fakeProgress(DownloadStage.DELIVERING, keys, fetched = keys, delivered = it) }
            return FakeRun(listOf(fakeProgress(DownloadStage.PREPARING)) + fetching + delivering)
        }
    }
}

/** Returns the progress of a download at [stage]. What is delivered counts as opened, too. */
public fun fakeProgress(
    stage: DownloadStage = DownloadStage.RESTING,
    total: ULong = 0u,
    fetched: ULong = 0u,
    delivered: ULong = 0u,
    keysPerSecond: ULong = 0u,
    timeLeft: Duration? = null,
): DownloadProgress = DownloadProgress(
    stage = stage,
    total = total,
    fetched = fetched,
    opened = delivered,
    delivered = delivered,
    keysPerSecond = keysPerSecond,
    timeLeft = timeLeft,
)
