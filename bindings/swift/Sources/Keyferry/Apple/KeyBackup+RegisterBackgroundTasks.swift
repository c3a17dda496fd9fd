#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import BackgroundTasks
import Foundation

extension KeyBackup {
    /// Registers the tasks in which iOS lets the key backup work while the app is not on screen. Call it at launch, before the
    /// app has finished launching, or iOS stops the app: in `application(_:didFinishLaunchingWithOptions:)`, or in the
    /// initialiser of a SwiftUI `App`. A later call only replaces `backups`.
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
        RegisteredTasks.shared.register(identifiers, backups)
    }
}

/// The launch handlers of this process.
private final class RegisteredTasks: @unchecked Sendable {
    static let shared = RegisteredTasks()

    private let lock = NSLock()
    private var registered: Set<String> = []
    private var backups: (@Sendable () async throws -> [KeyBackup])?

    func register(
        _ identifiers: BackgroundTaskIdentifiers,
        _ backups: @escaping @Sendable () async throws -> [KeyBackup]
    ) -> Bool {
        lock.withLock { self.backups = backups }
        var areTaken = register(identifiers.processing) { self.work(in: $0, budget: nil) }
        if let appRefresh = identifiers.appRefresh {
            areTaken = register(appRefresh) { self.work(in: $0, budget: .seconds(25)) } && areTaken
        }
        if let continued = identifiers.continued {
            areTaken = ContinuedDownloads.shared.register(continued, by: register) && areTaken
        }
        BackgroundScheduler.shared.use(identifiers)
        return areTaken
    }

    /// Returns whether iOS has taken the identifier, now or before: it stops an app that registers one twice.
    private func register(_ identifier: String, _ launch: @escaping @Sendable (BGTask) -> Void) -> Bool {
        if lock.withLock({ registered.contains(identifier) }) { return true }
        // `using: nil` is a queue of the system's: on the main queue, Swift 6 would expect a closure of the main actor.
        if BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil, launchHandler: launch) {
            lock.withLock { _ = registered.insert(identifier) }
            return true
        }
        NSLog("keyferry: BGTaskSchedulerPermittedIdentifiers in Info.plist lacks %@", identifier)
        return false
    }

    private func work(in task: BGTask, budget: Duration?) {
        let backups = lock.withLock { self.backups }
        KeyBackup.work(in: task, budget: budget) {
            do {
                return try await backups?() ?? []
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
