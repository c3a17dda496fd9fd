#if canImport(BackgroundTasks) && !os(macOS) && !os(watchOS)
import BackgroundTasks
#endif

/// A task for which the OS grants some time, which it may take back at any moment, and of whose end it must be told.
///
/// `BGProcessingTask` and `BGAppRefreshTask` conform to it. ``KeyBackup/run(in:budget:)`` takes one.
public protocol BackgroundTask: AnyObject {
    /// Sets the handler that the OS calls shortly before it takes the time back.
    func onExpiration(_ handler: @escaping @Sendable () -> Void)

    /// Tells the OS that the work has ended. Call it exactly once.
    func setTaskCompleted(success: Bool)
}

#if canImport(BackgroundTasks) && !os(macOS) && !os(watchOS)
extension BGTask: BackgroundTask {
    /// Sets the expiration handler of the task.
    public func onExpiration(_ handler: @escaping @Sendable () -> Void) {
        expirationHandler = handler
    }
}
#endif
