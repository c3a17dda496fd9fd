import Foundation

extension KeyBackup {
    public func run(budget: Duration?) async -> RunReport {
        let limit = RunBudget(maxDuration: budget)
        let report = await host.runs.during { [calls, download] in
            await calls.stoppable(stop: { download.endRun() }, work: { await download.run(budget: limit) })
        }
        // A cancelled run ends the requests beside it. Without a cancellation they may take longer, and are not waited
        // for.
        if Task.isCancelled, case .paused = report.outcome { await download.awaitQuiescent() }
        return report
    }

    @discardableResult
    public func runInBackground(budget: Duration?) async -> RunReport {
        await causes.inGrantedTime { [self] in
            let report = await runInTurn(budget: budget)
            // The run of another process closes everything itself.
            if case .alreadyRunning = report.outcome { return report }
            await awaitQuiescent()
            await closeLookups()
            return report
        }
    }

    /// Runs, after the run of another caller in this process if there is one: in granted time that run goes on.
    private func runInTurn(budget: Duration?) async -> RunReport {
        let end = budget.map { ContinuousClock.now + $0 }
        func left() -> Duration? { end.map { max(.zero, $0 - .now) } }
        var report = await run(budget: budget)
        while case .alreadyRunning(let holder) = report.outcome, holder.isThisProcess, !Task.isCancelled, left() != .zero {
            // The run may have ended before this began to wait.
            if await !host.runs.hasEnded(within: left()) { try? await Task.sleep(for: .milliseconds(100)) }
            report = await run(budget: left())
        }
        return report
    }

    public func status() async throws -> DownloadStatus {
        try await download.status()
    }

    public func pause(_ cause: PauseCause) async throws {
        try await causes.pause(cause)
        // These three close the vault, so it is not read.
        switch cause {
        case .timeExpiring, .storageLocked: break
        case .inBackground: host.runs.showPause(by: cause)
        default: await showStatus()
        }
    }

    public func resume(_ cause: PauseCause) async throws {
        try await causes.resume(cause)
        await showStatus()
    }

    public func stop() async throws {
        try await download.stop()
        await showStatus()
    }

    public func start() async throws {
        try await download.start()
        await showStatus()
    }

    public func awaitQuiescent() async {
        await download.awaitQuiescent()
    }

    public func prioritiseRooms(_ roomIDs: [String]) async throws {
        try await download.prioritiseRooms(roomIds: roomIDs)
    }

    public func setPolicy(_ policy: DownloadPolicy) {
        download.setPolicy(policy: policy)
    }

    public func cryptoStoreWasReplaced() async throws {
        try await download.cryptoStoreWasReplaced()
    }
}

extension RunOutcome {
    /// Whether everything is done, or the work waits for an event that requests a run by itself: an `unlock`, the user's
    /// `resume` or `start`, or the end of another run.
    var leavesNothingToTry: Bool {
        switch self {
        case .completed, .short, .needsUnlock, .stopped, .alreadyRunning: true
        case .paused(let causes): causes.contains(.user)
        case .failed(let reason): reason == .overtaken
        default: false
        }
    }
}
