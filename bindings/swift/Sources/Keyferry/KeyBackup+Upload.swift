extension KeyBackup {
    public func pendingUpload() async throws -> PendingUpload {
        try await upload.pendingUpload()
    }

    public func uploadStatus() async throws -> UploadStatus {
        try await upload.uploadStatus()
    }

    @discardableResult
    public func flushUploads(budget: Duration?) async -> UploadReport {
        let limit = RunBudget(maxDuration: budget)
        let report = await stoppable { await upload.flush(budget: limit) }
        if Task.isCancelled, case .paused = report.outcome { await download.awaitQuiescent() }
        return report
    }
}
