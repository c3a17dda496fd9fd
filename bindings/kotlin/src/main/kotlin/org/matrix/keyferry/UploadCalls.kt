package org.matrix.keyferry

import kotlin.time.Duration
import org.matrix.keyferry.ffi.KeyUpload
import org.matrix.keyferry.ffi.PendingUpload
import org.matrix.keyferry.ffi.UploadReport
import org.matrix.keyferry.ffi.UploadStatus

/** The upload over the generated client. */
internal class UploadCalls(private val upload: KeyUpload, private val runs: Runs) : KeyUploadApi {
    override suspend fun pendingUpload(): PendingUpload = upload.pendingUpload()

    override suspend fun uploadStatus(): UploadStatus = upload.uploadStatus()

    override suspend fun flushUploads(budget: Duration?): UploadReport =
        runs.run(UploadReport::holder) { upload.flush(budget.toRunBudget()) }
}
