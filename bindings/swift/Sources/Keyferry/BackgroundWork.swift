import Foundation

/// Work in the time that the OS grants.
enum BackgroundWork {
    /// Seconds that work whose time is over may take to come to rest; the OS leaves a few.
    static let usualPatience: TimeInterval = 3

    /// Does `work`, which says what it gives and whether that is a success, and tells the OS, once. When the time is over
    /// the work is cancelled; the OS is then told when it has come to rest, or when patience is at its end.
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
            // A sink or a database that hangs must not cost the app its life.
            DispatchQueue.global().asyncAfter(deadline: .now() + patience) { end.tell(success: false) }
        }
        return worker
    }
}

/// Tells the OS the end of a task: the first word counts.
private final class BackgroundTaskEnd: @unchecked Sendable {
    private let lock = NSLock()
    /// Until the end is told: its handler keeps this object.
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
