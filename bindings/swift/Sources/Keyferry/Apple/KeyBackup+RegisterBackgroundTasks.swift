#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import BackgroundTasks
import Foundation

extension KeyBackup {
    /// Registers the tasks in which iOS lets the key backup work while the app is not on screen. Call it once, before the
    /// app has finished launching: in `application(_:didFinishLaunchingWithOptions:)`, or in the initialiser of a SwiftUI
    /// `App`.
    ///
    /// ```swift
    /// KeyBackup.registerBackgroundTasks { [try await session.keyBackup()] }
    /// ```
    ///
    /// From then on wake-ups are requested by themselves. A task writes a pending preference, and downloads until it is
    /// done or iOS takes the time back.
    ///
    /// - Parameters:
    ///   - identifiers: The identifiers of the tasks, which Info.plist lists, too: see ``BackgroundTaskIdentifiers``.
    ///   - backups: Returns the backups of all accounts that are signed in, and opens those that are not open: iOS may
    ///     start the app in the background only for this. If it throws, iOS is asked again for a quarter of an hour later.
    /// - Returns: Whether iOS has taken the identifiers. It does not take one that is not in Info.plist; the log says which.
    @discardableResult
    public static func registerBackgroundTasks(
        identifiers: BackgroundTaskIdentifiers = .standard,
        backups: @escaping @Sendable () async throws -> [KeyBackup]
    ) -> Bool {
        var isComplete = true
        // `using: nil` is a queue of its own: on the main queue, Swift 6 would expect a closure of the main actor.
        func register(_ identifier: String, _ launch: @escaping @Sendable (BGTask) -> Void) {
            guard !BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil, launchHandler: launch)
            else { return }
            isComplete = false
            NSLog("keyferry: BGTaskSchedulerPermittedIdentifiers in Info.plist lacks %@", identifier)
        }
        register(identifiers.processing) { workOrPostpone(in: $0, budget: nil, of: backups) }
        if let appRefresh = identifiers.appRefresh {
            register(appRefresh) { workOrPostpone(in: $0, budget: .seconds(25), of: backups) }
        }
        if let continued = identifiers.continued { ContinuedDownloads.shared.register(continued, by: register) }
        BackgroundScheduler.shared.use(identifiers)
        return isComplete
    }

    private static func workOrPostpone(
        in task: BGTask,
        budget: Duration?,
        of backups: @escaping @Sendable () async throws -> [KeyBackup]
    ) {
        work(in: task, budget: budget) {
            do {
                return try await backups()
            } catch {
                // The request has been used up.
                BackgroundScheduler.shared.postpone(by: .seconds(15 * 60))
                throw error
            }
        }
    }
}

extension BGTask: BackgroundTask {
    /// Sets the expiration handler of the task.
    public func onExpiration(_ handler: @escaping @Sendable () -> Void) {
        expirationHandler = handler
    }
}
#endif
