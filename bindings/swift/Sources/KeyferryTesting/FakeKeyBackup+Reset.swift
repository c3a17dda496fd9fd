import Keyferry

extension FakeKeyBackup {
    public var resetProgressUpdates: AsyncStream<ResetProgress> { reset.progressUpdates }

    public func prepareReset(for cause: ResetCause) async throws -> ResetReadiness {
        try called("prepareReset")
        return reset.readiness
    }

    public func createBackup() async throws {
        try called("createBackup")
        try reset.begin(from: nil)
    }

    public func moveBackup(for cause: ResetCause, accepting losses: [KeyLoss]) async throws {
        try called("moveBackup")
        try reset.checkLosses(accepted: losses)
        try reset.begin(from: Self.version)
    }

    @discardableResult
    public func runReset(budget: Duration?) async -> ResetReport {
        note("runReset")
        let outcome = reset.isUnderWay ? await runSteps() : .nothingToDo
        if outcome == .completed { reset.complete() }
        if case .halted(let why) = outcome { reset.stop(why) }
        return ResetReport(outcome: outcome, status: reset.status, wakeUp: nil)
    }

    public func cancelReset() async throws {
        try called("cancelReset")
        try reset.cancel()
    }

    public func resetStatus() async throws -> ResetStatus? {
        try called("resetStatus")
        return reset.status
    }

    public func rotateStorage() async throws { try called("rotateStorage") }

    public func deleteVersion(_ version: String, accepting losses: [KeyLoss]) async throws {
        try called("deleteVersion")
        guard reset.status?.step == .done else { throw ResetError.notProved }
        try reset.checkLosses(accepted: losses)
    }

    public func turnOff(accepting losses: [KeyLoss]) async throws {
        try called("turnOff")
        try reset.checkLosses(accepted: losses)
    }

    private func runSteps() async -> ResetOutcome {
        for progress in reset.progress {
            if held != nil || Task.isCancelled { break }
            reset.show(progress)
            try? await Task.sleep(for: reset.stepTime)
        }
        switch held {
        case .paused(let causes): return .paused(causes: causes)
        case .some: return .stopped
        case nil: return Task.isCancelled ? .paused(causes: [.timeExpiring]) : reset.outcome
        }
    }
}
