import Foundation

extension KeyBackup {
    /// Does the work of a wake-up for all accounts, in time that the OS grants: writes pending preferences, then for each
    /// account carries a reset on, uploads keys that wait, and does one run of the download. Returns at once, and reports
    /// the end to the OS, as a success if nothing is left to try again. Most apps call
    /// ``registerBackgroundTasks(identifiers:backups:)`` instead, which does this.
    ///
    /// When the time is over, the work ends by itself within a fraction of a second. The cause `inBackground` does not
    /// hold in that time. The task modifiers of SwiftUI cancel the Swift task instead: call
    /// ``KeyBackupProtocol/runInBackground(budget:)`` there.
    ///
    /// - Parameters:
    ///   - task: A `BGProcessingTask` or a `BGAppRefreshTask`.
    ///   - budget: Time after which the work ends by itself. A `BGAppRefreshTask` has about 30 seconds: use 25. `nil`, for
    ///     a `BGProcessingTask`: it ends when it is done or the OS takes the time back.
    ///   - backups: Returns the backups of all accounts, and opens those that are not open.
    /// - Returns: A task with the reports of the downloads; empty if `backups` has thrown. It may be ignored.
    @discardableResult
    public static func work(
        in task: some BackgroundTask,
        budget: Duration? = nil,
        of backups: @escaping @Sendable () async throws -> [KeyBackup]
    ) -> Task<[RunReport], Never> {
        BackgroundWork.begin(in: task) { () async -> ([RunReport], Bool) in
            guard let backups = try? await backups() else { return ([], false) }
            return await work(on: backups, budget: budget)
        }
    }

    /// Returns the reports, and whether nothing is left to try again.
    static func work(on backups: [KeyBackup], budget: Duration?) async -> ([RunReport], Bool) {
        let deadline = Deadline(after: budget)
        var isSettled = true
        // Before the downloads: small, and the user's choice.
        for backup in backups where !Task.isCancelled {
            let write = try? await backup.preference.flush(budget: min(deadline.left ?? .seconds(10), .seconds(10)))
            if case .pending? = write { isSettled = false }
        }
        var reports: [RunReport] = []
        // In any order, so that an account that takes all the time does not always take it from the same others.
        for backup in backups.shuffled() where !Task.isCancelled {
            let (report, leavesNothingToTry) = await backup.runEverything(until: deadline)
            isSettled = isSettled && leavesNothingToTry
            reports.append(report)
        }
        return (reports, isSettled && reports.count == backups.count)
    }
}

extension KeyBackup {
    /// Carries a reset on, uploads, and downloads, in time that the OS grants. Returns the report of the download, and
    /// whether nothing is left to try again.
    private func runEverything(until deadline: Deadline) async -> (RunReport, Bool) {
        await causes.inGrantedTime { [self] in
            var isSettled = true
            if canReset {
                let report = await inTurn(until: deadline) { await runReset(budget: $0 ?? budgetForFiles) }
                isSettled = report.outcome.leavesNothingToTry
            }
            if canUpload, !Task.isCancelled {
                let report = await inTurn(until: deadline) { await flushUploads(budget: $0) }
                isSettled = isSettled && report.outcome.leavesNothingToTry
            }
            // The last one, because it leaves nothing open.
            let report = await runInBackground(budget: deadline.left ?? budgetForFiles)
            return (report, isSettled && report.outcome.leavesNothingToTry)
        }
    }

    /// The budget of a run that has no other: only runs with a budget leave long answers to ``BackgroundFileDownloads``.
    private var budgetForFiles: Duration? { hasFileDownloads ? .seconds(180) : nil }
}
