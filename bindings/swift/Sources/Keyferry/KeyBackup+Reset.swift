extension KeyBackup {
    public var resetProgressUpdates: AsyncStream<ResetProgress> { host.resets.stream() }

    public func prepareReset(for cause: ResetCause) async throws -> ResetReadiness {
        try await reset.prepareReset(cause: cause)
    }

    public func createBackup() async throws {
        try await reset.createBackup()
        await showProgress()
    }

    public func moveBackup(for cause: ResetCause, accepting losses: [KeyLoss]) async throws {
        try await reset.moveBackup(cause: cause, accepted: losses)
        await showProgress()
    }

    @discardableResult
    public func runReset(budget: Duration?) async -> ResetReport {
        let limit = RunBudget(maxDuration: budget)
        let report = await host.runs.during(after: { KeyBackupState.Activity(after: $0.outcome) }) {
            await stoppable { await reset.run(budget: limit) }
        }
        if case .paused = report.outcome {
            // A pause can close the vault, so it is not read then.
            if Task.isCancelled { await download.awaitQuiescent() }
        } else {
            await showStatus()
        }
        return report
    }

    public func cancelReset() async throws {
        try await reset.cancel()
        host.resets.forgetLatest()
    }

    public func resetStatus() async throws -> ResetStatus? {
        try await reset.status()
    }

    public func rotateStorage() async throws {
        try await reset.rotateStorage()
    }

    public func deleteVersion(_ version: String, accepting losses: [KeyLoss]) async throws {
        try await stoppable { try await reset.deleteVersion(version: version, accepted: losses) }
        await showStatus()
    }

    public func turnOff(accepting losses: [KeyLoss]) async throws {
        try await reset.turnOff(accepted: losses)
        host.resets.forgetLatest()
        await showStatus()
    }

    /// Shows that a reset has begun: an earlier one may have stopped.
    private func showProgress() async {
        guard let status = try? await reset.status() else { return }
        host.resets.send(
            ResetProgress(step: status.step, sent: status.sent, total: status.total, stopped: status.stopped))
    }
}
