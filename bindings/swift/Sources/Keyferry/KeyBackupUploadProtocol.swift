/// Keeps the backup of an account up to date: uploads room keys that the app's crypto has and the backup has not. A part of
/// ``KeyBackupProtocol``.
///
/// ```swift
/// if try await backup.pendingUpload().keys > 0 { await backup.flushUploads(budget: .seconds(20)) } // before a logout
/// ```
///
/// It needs the `roomKeySource` that the backup is opened with.
public protocol KeyBackupUploadProtocol: AnyObject, Sendable {
    /// Returns what a logout would lose. Uses no network.
    ///
    /// - Throws: An ``AccessError`` if the app's crypto cannot be asked.
    func pendingUpload() async throws -> PendingUpload

    /// Returns how complete the backup is, and what keeps it from being complete. Makes one small request.
    ///
    /// - Throws: An ``AccessError`` if the app's crypto cannot be asked. A server that cannot be reached is no error, but
    ///   `UploadStatus.hindrance`.
    func uploadStatus() async throws -> UploadStatus

    /// Uploads every key that waits, until none is left, the budget is used up, or something is in the way. It shares its
    /// pauses with the download, and never works beside it. A wake-up is requested for what is left, and the tasks of
    /// ``KeyBackup/registerBackgroundTasks(identifiers:backups:)`` upload it.
    ///
    /// A key of which the backup has a copy that begins as early is not uploaded, and counts as backed up.
    ///
    /// Cancelling the task ends it as `paused` by `timeExpiring`.
    ///
    /// - Parameter budget: Time after which this returns by itself; `nil`: no limit.
    /// - Returns: How it ended, and how many keys are in the backup now that were not before.
    @discardableResult
    func flushUploads(budget: Duration?) async -> UploadReport
}

extension KeyBackupUploadProtocol {
    /// Uploads every key that waits, without a limit of time: see ``flushUploads(budget:)``.
    @discardableResult
    public func flushUploads() async -> UploadReport { await flushUploads(budget: nil) }
}
