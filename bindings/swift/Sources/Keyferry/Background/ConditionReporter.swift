
/// Reports causes that come and go, in order, and each change once. When this object is released, it ends the causes
/// that still hold.
final class ConditionReporter: Sendable {
    private struct Report: Sendable {
        let cause: PauseCause
        let holds: Bool
    }

    private let reports: AsyncStream<Report>.Continuation

    init(
        pause: @escaping @Sendable (PauseCause) async -> Void,
        resume: @escaping @Sendable (PauseCause) async -> Void
    ) {
        let (stream, continuation) = AsyncStream.makeStream(of: Report.self)
        reports = continuation
        Task {
            var held: Set<PauseCause> = []
            for await report in stream {
                if report.holds {
                    if held.insert(report.cause).inserted { await pause(report.cause) }
                } else if held.remove(report.cause) != nil {
                    await resume(report.cause)
                }
            }
            for cause in held { await resume(cause) }
        }
    }

    deinit {
        reports.finish()
    }

    /// Queues a report and returns at once. May be called from any thread.
    func report(_ cause: PauseCause, holds: Bool) {
        reports.yield(Report(cause: cause, holds: holds))
    }
}

extension KeyBackup {
    /// Makes a reporter to the download of this backup. The reporter does not keep the backup alive.
    func conditionReporter() -> ConditionReporter {
        ConditionReporter(
            pause: { [weak self] in try? await self?.pause($0) },
            resume: { [weak self] in try? await self?.resume($0) }
        )
    }
}
