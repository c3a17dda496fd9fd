package io.keyferry

import kotlin.time.Duration

/** The upload over the generated client. */
internal class UploadCalls(private val upload: KeyUpload, private val runs: Runs) : KeyUploadApi {
    override suspend fun pendingUpload(): PendingUpload = upload.pendingUpload()

    override suspend fun uploadStatus(): UploadStatus = upload.uploadStatus()

    override suspend fun flushUploads(budget: Duration?): UploadReport =
        runs.run(UploadReport::holder) { upload.flush(budget.toRunBudget()) }
}
