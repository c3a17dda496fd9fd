import Foundation

/// Does work in time that the OS grants.
enum BackgroundWork {
    /// Seconds that work may take to end after its time is over. The OS leaves a few.
    static let usualPatience: TimeInterval = 3

    /// Does `work`, which returns its result and whether that is a success, and reports the end to the OS once. When
    /// the time is over, the work is cancelled, and the OS gets its report when the work has ended, after `patience`
    /// seconds at the latest.
    static func begin<Value: Sendable>(
        in task: some BackgroundTask,
        patience: TimeInterval = BackgroundWork.usualPatience,
        _ work: @escaping @Sendable () async -> (Value, Bool)
    ) -> Task<Value, Never> {
        let end = BackgroundTaskEnd(of: task)
        let worker = Task {
            let (value, success) = await work()
            end.tell(success: success)
            return value
        }
        task.onExpiration {
            worker.cancel()
            // The OS kills an app that reports no end, so a sink or a database that hangs must not delay it.
            DispatchQueue.global().asyncAfter(deadline: .now() + patience) { end.tell(success: false) }
        }
        return worker
    }
}

/// Reports the end of a task to the OS, once: later reports are ignored.
private final class BackgroundTaskEnd: @unchecked Sendable {
    private let lock = NSLock()
    /// Released when the end is reported, because the task's handler holds this object.
    private var task: (any BackgroundTask)?

    init(of task: any BackgroundTask) {
        self.task = task
    }

    func tell(success: Bool) {
        let untold = lock.withLock { () -> (any BackgroundTask)? in
            defer { task = nil }
            return task
        }
        untold?.setTaskCompleted(success: success)
    }
}
