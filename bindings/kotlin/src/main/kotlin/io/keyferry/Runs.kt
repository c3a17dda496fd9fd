package io.keyferry

import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.delay
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull

/** Time after which a cancelled run is told to end once more: it may not have begun the first time. */
private val A_MOMENT = 20.milliseconds

/** Time before another try when it is not known how long the run under way takes. */
private val A_WHILE = 100.milliseconds

/** Does the runs of all jobs: downloads, resets and uploads. Rust does one of them at a time. */
internal class Runs(private val download: KeyDownload) {
    /** Separate from the caller's scope, so that a cancelled run can still end in order. */
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val underWay = CallsUnderWay()

    /**
     * Does one run. Cancelling the coroutine ends it and waits for its end.
     *
     * @param holder returns the other run that the result names, if this one could not begin for it
     */
    suspend fun <T> run(holder: (T) -> RunHolder?, work: suspend () -> T): T {
        val call = Any()
        // Undispatched: the run has begun when `async` returns, so that a pause cannot come before it.
        val run = scope.async(start = CoroutineStart.UNDISPATCHED) { underWay.during(call, work) }
        try {
            return run.await()
        } catch (cancelled: CancellationException) {
            withContext(NonCancellable) {
                while (underWay.tryToEnd(call) { download.endRun() }) withTimeoutOrNull(A_MOMENT) { run.join() }
                val isRefused = runCatching { holder(run.await()) }.getOrNull() != null
                // Another caller's run is not waited for.
                if (!isRefused) download.awaitQuiescent()
            }
            throw cancelled
        }
    }

    /** Does a call that may contain a run, so that nobody else's cancellation ends that run. */
    suspend fun <T> protect(work: suspend () -> T): T = underWay.during(Any(), work)

    /** Does [run] after the run of another caller in this process if there is one: in granted time that goes on. */
    suspend fun <T> inTurn(budget: Duration?, holder: (T) -> RunHolder?, run: suspend (budget: Duration?) -> T): T {
        val began = TimeSource.Monotonic.markNow()
        fun left() = budget?.let { (it - began.elapsedNow()).coerceAtLeast(Duration.ZERO) }
        var report = run(budget)
        while (holder(report)?.isThisProcess == true) {
            val wasUnderWay = withTimeoutOrNull(left() ?: Duration.INFINITE) { underWay.awaitEnd() } ?: return report
            // The run may have ended before this began to wait.
            if (!wasUnderWay) delay(A_WHILE)
            report = run(left())
        }
        return report
    }
}

/** The other run that has the vault, if this one did nothing for that reason. */
internal val RunReport.holder: RunHolder? get() = (outcome as? RunOutcome.AlreadyRunning)?.by

/** The other run that has the vault, if this one did nothing for that reason. */
internal val ResetReport.holder: RunHolder? get() = (outcome as? ResetOutcome.AlreadyRunning)?.by

/** The other run that has the vault, if this one did nothing for that reason. */
internal val UploadReport.holder: RunHolder? get() = (outcome as? UploadOutcome.AlreadyRunning)?.by
