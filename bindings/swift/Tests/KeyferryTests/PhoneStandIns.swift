#if os(Linux)
import Foundation
import Keyferry

// Of a phone what the documentation uses, for its lines to compile and run on a machine that is none.

/// A task as the OS grants it.
final class BGTask: BackgroundTask, @unchecked Sendable {
    private let completed: @Sendable (Bool) -> Void

    /// - Parameter completed: Gets what the OS is told.
    init(completed: @escaping @Sendable (Bool) -> Void) {
        self.completed = completed
    }

    func onExpiration(_ handler: @escaping @Sendable () -> Void) {}

    func setTaskCompleted(success: Bool) {
        completed(success)
    }
}

/// The OS. It calls handlers on a queue of its own.
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
