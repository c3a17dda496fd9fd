extension KeyBackup {
    /// Does a run of any job. Cancelling the task ends it, and no run of another caller.
    func stoppable<Value: Sendable>(_ run: @Sendable () async throws -> Value) async rethrows -> Value {
        // Of all jobs one works at a time, and this ends the one at work.
        try await calls.stoppable(stop: { [download] in download.endRun() }, work: run)
    }

    /// Does a run, after the run of another caller in this process if there is one: in granted time that run goes on.
    func inTurn<Report: ReportOfRun>(
        until deadline: Deadline,
        _ run: @Sendable (_ budget: Duration?) async -> Report
    ) async -> Report {
        var report = await run(deadline.left)
        while let holder = report.outcome.holder, holder.isThisProcess, !Task.isCancelled, deadline.left != .zero {
            // The run may have ended before this began to wait, or it uploads.
            if await !host.runs.hasEnded(within: deadline.left) { try? await Task.sleep(for: .milliseconds(100)) }
            report = await run(deadline.left)
        }
        return report
    }
}
