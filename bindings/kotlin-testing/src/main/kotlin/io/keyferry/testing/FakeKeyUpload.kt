package io.keyferry.testing

import io.keyferry.KeyUploadApi
import io.keyferry.PendingUpload
import io.keyferry.UploadHindrance
import io.keyferry.UploadOutcome
import io.keyferry.UploadReport
import io.keyferry.UploadStatus
import io.keyferry.WakeUp
import kotlin.time.Duration

/** The upload of a [FakeKeyBackup]: keys that wait until [flushUploads] completes. */
public class FakeKeyUpload internal constructor(private val core: FakeCore) : KeyUploadApi {
    /** The number of keys that wait. */
    public var waiting: ULong = 0u

    /** What keeps keys from being uploaded; `null` if nothing does. */
    public var hindrance: UploadHindrance? = null

    /** How the next [flushUploads] ends. */
    public var outcome: UploadOutcome = UploadOutcome.Completed

    /** The wake-up that [flushUploads] asks for at its end. */
    public var wakeUp: WakeUp? = null

    private var uploaded: ULong = 0u

    override suspend fun pendingUpload(): PendingUpload = core.called("pendingUpload") {
        PendingUpload(waiting, isBackedUp = hindrance !is UploadHindrance.NotInUse)
    }

    override suspend fun uploadStatus(): UploadStatus = core.called("uploadStatus") {
        UploadStatus(waiting + uploaded, uploaded, waiting, VERSION, uploaded, hindrance)
    }

    override suspend fun flushUploads(budget: Duration?): UploadReport = core.called("flushUploads") {
        val (before, end) = uploaded to (core.held(UploadOutcome.Stopped, UploadOutcome::Paused) ?: outcome)
        if (end is UploadOutcome.Completed) {
            uploaded += waiting
            waiting = 0u
        }
        UploadReport(end, uploaded - before, wakeUp)
    }
}
