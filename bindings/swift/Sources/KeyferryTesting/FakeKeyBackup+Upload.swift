import Keyferry

extension FakeKeyBackup {
    public func pendingUpload() async throws -> PendingUpload {
        try called("pendingUpload")
        return uploads.pending
    }

    public func uploadStatus() async throws -> UploadStatus {
        try called("uploadStatus")
        return uploads.status(of: Self.version)
    }

    @discardableResult
    public func flushUploads(budget: Duration?) async -> UploadReport {
        note("flushUploads")
        switch held {
        case .paused(let causes): return UploadReport(outcome: .paused(causes: causes), uploaded: 0, wakeUp: nil)
        case .some: return UploadReport(outcome: .stopped, uploaded: 0, wakeUp: nil)
        case nil: return uploads.flush()
        }
    }
}
