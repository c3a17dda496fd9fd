package io.keyferry

/** What a screen shows about the download: how far it is, and what it waits for. */
public sealed interface KeyBackupState {
    /** How far the download is. */
    public val progress: DownloadProgress

    /** No run is under way in this process, and nothing is in the way of the next one. */
    public data class Idle(override val progress: DownloadProgress) : KeyBackupState

    /** A run is under way in this process. */
    public data class Working(override val progress: DownloadProgress) : KeyBackupState

    /** These [causes] hold the download until they are gone. Only the user ends a pause of the user. */
    public data class Paused(override val progress: DownloadProgress, val causes: Set<PauseCause>) : KeyBackupState

    /** The user has given the download up, until `start`. */
    public data class Stopped(override val progress: DownloadProgress) : KeyBackupState

    /** Everything is fetched, and some of it waits for the recovery key: ask the user for it, and call `unlock`. */
    public data class NeedsUnlock(override val progress: DownloadProgress) : KeyBackupState

    /** The download waits for [reason], which passes by itself. */
    public data class Waiting(override val progress: DownloadProgress, val reason: BlockedReason) : KeyBackupState

    /** All that the server returns is here. It counts [missing] keys more. */
    public data class Short(override val progress: DownloadProgress, val missing: ULong) : KeyBackupState

    /** Everything is here. [everyKeyIsHere] is false if the app has accepted that keys are missing, or keys failed. */
    public data class Done(override val progress: DownloadProgress, val everyKeyIsHere: Boolean) : KeyBackupState

    /** The download cannot continue by itself. */
    public data class Failed(override val progress: DownloadProgress, val reason: RunFailure) : KeyBackupState

    public companion object {
        /** Returns the state after a run that ended like this. */
        public fun after(outcome: RunOutcome, everyKeyIsHere: Boolean, progress: DownloadProgress): KeyBackupState =
            when (outcome) {
                is RunOutcome.Completed -> Done(progress, everyKeyIsHere)
                is RunOutcome.Short -> Short(progress, outcome.versions.sumOf { it.missing })
                is RunOutcome.Paused -> paused(progress, outcome.causes)
                is RunOutcome.Stopped -> Stopped(progress)
                is RunOutcome.NeedsUnlock -> NeedsUnlock(progress)
                is RunOutcome.Blocked -> Waiting(progress, outcome.reason)
                is RunOutcome.Failed -> failed(progress, outcome.reason)
                is RunOutcome.OutOfBudget, is RunOutcome.AlreadyRunning -> Idle(progress)
            }

        /** Returns the state of the download after a run of a reset that ended like this. */
        internal fun after(outcome: ResetOutcome, progress: DownloadProgress): KeyBackupState = when (outcome) {
            is ResetOutcome.Paused -> paused(progress, outcome.causes)
            is ResetOutcome.Stopped -> Stopped(progress)
            is ResetOutcome.NeedsUnlock -> NeedsUnlock(progress)
            is ResetOutcome.Blocked -> Waiting(progress, outcome.reason)
            is ResetOutcome.Failed -> failed(progress, outcome.reason)
            is ResetOutcome.Completed, is ResetOutcome.NothingToDo, is ResetOutcome.Halted,
            is ResetOutcome.CryptoRefuses, is ResetOutcome.OutOfBudget, is ResetOutcome.AlreadyRunning,
            -> Idle(progress)
        }

        /** Returns the state before the first run of this process. */
        internal fun of(status: DownloadStatus): KeyBackupState {
            val progress = status.toProgress()
            return when {
                status.stopped -> Stopped(progress)
                status.causes.isNotEmpty() -> paused(progress, status.causes)
                !status.fetchComplete -> Idle(progress)
                progress.locked > 0uL -> NeedsUnlock(progress)
                isDone(progress) -> Done(progress, progress.failed + progress.conflicts + status.summary.missing == 0uL)
                else -> Idle(progress)
            }
        }

        /** Whether everything is opened and, if there was a sink, delivered. */
        private fun isDone(progress: DownloadProgress): Boolean = with(progress) {
            val isDelivered = delivered == 0uL || delivered + refused + conflicts >= opened
            total > 0uL && opened + failed >= total && isDelivered
        }

        private fun failed(progress: DownloadProgress, reason: RunFailure): KeyBackupState =
            // The newer run continues the work.
            if (reason is RunFailure.Overtaken) Idle(progress) else Failed(progress, reason)

        private fun paused(progress: DownloadProgress, causes: List<PauseCause>): KeyBackupState {
            // Time that ends is no obstacle: the next run goes on.
            val lasting = causes.toSet() - PauseCause.TIME_EXPIRING
            return if (lasting.isEmpty()) Idle(progress) else Paused(progress, lasting)
        }
    }
}

/** Returns the same state with other figures. */
internal fun KeyBackupState.with(progress: DownloadProgress): KeyBackupState = when (this) {
    is KeyBackupState.Idle -> copy(progress)
    is KeyBackupState.Working -> copy(progress)
    is KeyBackupState.Paused -> copy(progress)
    is KeyBackupState.Stopped -> copy(progress)
    is KeyBackupState.NeedsUnlock -> copy(progress)
    is KeyBackupState.Waiting -> copy(progress)
    is KeyBackupState.Short -> copy(progress)
    is KeyBackupState.Done -> copy(progress)
    is KeyBackupState.Failed -> copy(progress)
}
