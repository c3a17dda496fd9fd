#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import BackgroundTasks
import Foundation

extension KeyBackup {
    /// Registers the tasks in which iOS lets the key backup work while the app is not on screen. Call it at launch, before the
    /// app has finished launching, or iOS stops the app: in `application(_:didFinishLaunchingWithOptions:)`, or in the
    /// initialiser of a SwiftUI `App`. A later call replaces `backups`, and registers no identifier again.
    ///
    /// ```swift
    /// KeyBackup.registerBackgroundTasks { [try await session.keyBackup()] }
    /// ```
    ///
    /// From then on wake-ups are requested by themselves. A task writes a pending preference, carries a reset on, uploads
    /// keys that wait, and downloads, until it is done or iOS takes the time back.
    ///
    /// - Parameters:
    ///   - identifiers: The identifiers of the tasks, which Info.plist lists, too: see ``BackgroundTaskIdentifiers``.
    ///   - backups: Returns the backups of all accounts that are signed in, and opens those that are not open: iOS may
    ///     start the app in the background only for this. If it throws, iOS is asked again for a quarter of an hour later.
    ///     So throw if one does not open: an account that is left out, and not open, loses its wake-ups.
    /// - Returns: Whether iOS has taken the identifiers of the refresh and the processing task. It does not take one that is
    ///   not in Info.plist; the log says which.
    @available(iOSApplicationExtension, unavailable, message: "Only the app itself may register background tasks.")
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
    /// The identifiers that iOS was asked to take, and whether it has: it stops an app that asks twice, or late.
    private var answers: [String: Bool] = [:]
    private var backups: (@Sendable () async throws -> [KeyBackup])?

    func register(
        _ identifiers: BackgroundTaskIdentifiers,
        _ backups: @escaping @Sendable () async throws -> [KeyBackup]
    ) -> Bool {
        lock.withLock { self.backups = backups }
        let processes = register(identifiers.processing) { self.work(in: $0, budget: nil) }
        let refreshes = identifiers.appRefresh.map { register($0) { self.work(in: $0, budget: .seconds(25)) } }
        ContinuedDownloads.shared.use(identifiers.continued)
        // What iOS has not taken must not be requested.
        BackgroundScheduler.shared.use(
            BackgroundScheduler.Registered(
                processing: processes ? identifiers.processing : nil,
                appRefresh: refreshes == true ? identifiers.appRefresh : nil
            ))
        return processes && refreshes != false
    }

    /// Returns whether iOS has taken the identifier, now or before.
    private func register(_ identifier: String, _ launch: @escaping @Sendable (BGTask) -> Void) -> Bool {
        if let answer = lock.withLock({ answers[identifier] }) { return answer }
        // `using: nil` is a queue of the system's: on the main queue, Swift 6 would expect a closure of the main actor.
        let isTaken = BGTaskScheduler.shared.register(
            forTaskWithIdentifier: identifier, using: nil, launchHandler: launch)
        lock.withLock { answers[identifier] = isTaken }
        if !isTaken { NSLog("keyferry: BGTaskSchedulerPermittedIdentifiers in Info.plist lacks %@", identifier) }
        return isTaken
    }

    private func work(in task: BGTask, budget: Duration?) {
        let backups = lock.withLock { self.backups }
        KeyBackup.work(in: task, budget: budget) {
            do {
                let open = try await backups?() ?? []
                // An account that has signed out without `forget` would have iOS start the app for nothing.
                let known = OpenBackups.shared.userIDs.union(open.map(\.account.userId))
                BackgroundScheduler.shared.removeAll(except: known)
                return open
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
