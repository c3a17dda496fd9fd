#if os(Linux)
import Foundation
import Keyferry

// Stand-ins for the parts of a phone that the documentation uses, so that its lines compile and run on Linux.

/// Stands in for a task that the OS grants.
final class BGTask: BackgroundTask, @unchecked Sendable {
    private let completed: @Sendable (Bool) -> Void

    /// - Parameter completed: Gets the result that is reported to the OS.
    init(completed: @escaping @Sendable (Bool) -> Void) {
        self.completed = completed
    }

    func onExpiration(_ handler: @escaping @Sendable () -> Void) {}

    func setTaskCompleted(success: Bool) {
        completed(success)
    }
}

/// Stands in for the scheduler of the OS, which calls handlers on a queue of its own.
final class BGTaskScheduler: @unchecked Sendable {
    private struct Handler: @unchecked Sendable {
        let launch: (BGTask) -> Void
    }

    static let shared = BGTaskScheduler()
    private let lock = NSLock()
    private var handlers: [String: Handler] = [:]

    @discardableResult
    func register(
        forTaskWithIdentifier identifier: String,
        using queue: DispatchQueue?,
        launchHandler: @escaping (BGTask) -> Void
    ) -> Bool {
        lock.withLock { handlers.updateValue(Handler(launch: launchHandler), forKey: identifier) == nil }
    }

    func launch(_ identifier: String, with task: BGTask) {
        let handler = lock.withLock { handlers[identifier] }
        DispatchQueue.global().async { handler?.launch(task) }
    }

    func keep(_ wakeUp: WakeUp?, as identifiers: BackgroundTaskIdentifiers) throws {}
}

struct BackgroundTaskIdentifiers: Sendable {
    let processing: String
    var appRefresh: String?
}

@MainActor
struct PhoneConditions {
    init(of backup: KeyBackup, vaultIsClosedWhileLocked: Bool = false) {}
}

final class BackgroundFileDownloads: FileDownloads {
    init(identifier: String, directory: URL) throws {}

    func begin(name: String, request: HttpRequest) throws {}
    func state(name: String) throws -> FileDownload { .unknown }
    func discard(name: String) throws {}
    func names() throws -> [String] { [] }

    func handleEvents(
        completionHandler: @escaping @Sendable () -> Void,
        then work: @escaping @Sendable () async -> Void = {}
    ) {
        Task {
            await work()
            completionHandler()
        }
    }
}
#endif
