package io.keyferry

import kotlin.time.Duration
import io.keyferry.ffi.KeyUpload
import io.keyferry.ffi.PendingUpload
import io.keyferry.ffi.UploadReport
import io.keyferry.ffi.UploadStatus

/** The upload over the generated client. */
internal class UploadCalls(private val upload: KeyUpload, private val runs: Runs) : KeyUploadApi {
    override suspend fun pendingUpload(): PendingUpload = upload.pendingUpload()

    override suspend fun uploadStatus(): UploadStatus = upload.uploadStatus()

    override suspend fun flushUploads(budget: Duration?): UploadReport =
        runs.run(UploadReport::holder) { upload.flush(budget.toRunBudget()) }
}
