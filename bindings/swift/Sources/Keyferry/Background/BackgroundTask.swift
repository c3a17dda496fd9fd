/// A task for which the OS grants some time, which it may take back at any moment, and of whose end it must be told.
///
/// The tasks of BGTaskScheduler conform to it. ``KeyBackup/work(in:budget:of:)`` takes one.
public protocol BackgroundTask: AnyObject {
    /// Sets the handler that the OS calls shortly before it takes the time back.
    func onExpiration(_ handler: @escaping @Sendable () -> Void)

    /// Tells the OS that the work has ended. Call it exactly once.
    func setTaskCompleted(success: Bool)
}
