import Foundation

extension KeyBackup {
    public func run(budget: Duration?) async -> RunReport {
        let limit = RunBudget(maxDuration: budget)
        let report = await host.runs.during(
            after: { KeyBackupState.Activity(after: $0.outcome, everyKeyIsHere: $0.everyKeyIsHere) }
        ) {
            await stoppable { await download.run(budget: limit) }
        }
        // A cancelled run ends the requests beside it. Without a cancellation they may take longer, and are not waited
        // for.
        if Task.isCancelled, case .paused = report.outcome { await download.awaitQuiescent() }
        return report
    }

    @discardableResult
    public func runInBackground(budget: Duration?) async -> RunReport {
        await causes.inGrantedTime { [self] in
            let report = await inTurn(until: Deadline(after: budget)) { await run(budget: $0) }
            // The run of another process closes everything itself.
            if case .alreadyRunning = report.outcome { return report }
            await awaitQuiescent()
            await closeLookups()
            return report
        }
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
