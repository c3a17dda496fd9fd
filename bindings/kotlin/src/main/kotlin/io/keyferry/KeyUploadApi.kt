package io.keyferry

import kotlin.time.Duration

/**
 * Uploads room keys that the app's crypto has and the backup has not. A part of [KeyBackupApi]. Needs the app's crypto:
 * pass `roomKeySource` to [KeyBackup.open].
 *
 * ```
 * if (backup.pendingUpload().keys > 0uL) backup.flushUploads() // before a logout
 * ```
 */
public interface KeyUploadApi {
    /**
     * Returns what a logout would lose. Uses no network.
     *
     * @throws AccessException if the app's crypto does not say
     */
    public suspend fun pendingUpload(): PendingUpload

    /**
     * Returns how complete the backup is, and what keeps it from being complete. Makes one small request. That the
     * server cannot be asked is no exception: [UploadStatus.hindrance] says so.
     *
     * @throws AccessException if the app's crypto does not say
     */
    public suspend fun uploadStatus(): UploadStatus

    /**
     * Uploads every key that waits until none is left, [budget] is used up, or something is in the way; the report says
     * which. In a worker, call [KeyBackupApi.work] with `WakeUpPurpose.UPLOAD` instead.
     *
     * Shares its pause causes with the download, and never works beside it: it returns
     * [UploadOutcome.AlreadyRunning] at once then.
     *
     * Throws nothing but `CancellationException`. Cancelling the coroutine ends the upload and waits for its end, as
     * [KeyBackupApi.run] does.
     *
     * @param budget time after which this returns by itself; `null`: no limit
     */
    public suspend fun flushUploads(budget: Duration? = null): UploadReport
}
