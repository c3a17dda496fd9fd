#if canImport(BackgroundTasks) && !os(macOS) && !os(watchOS)
import BackgroundTasks
#endif

/// What a `BGTask` has: the OS grants some time, takes it back when it likes, and is told the end.
///
/// `BGProcessingTask` and `BGAppRefreshTask` are ones.
public protocol BackgroundTask: AnyObject {
    /// Sets what the OS calls shortly before it takes the time back.
    func onExpiration(_ handler: @escaping @Sendable () -> Void)

    /// Tells the OS that the work is over. To be called once.
    func setTaskCompleted(success: Bool)
}

#if canImport(BackgroundTasks) && !os(macOS) && !os(watchOS)
extension BGTask: BackgroundTask {
    /// Sets the expiration handler.
    public func onExpiration(_ handler: @escaping @Sendable () -> Void) {
        expirationHandler = handler
    }
}
#endif
