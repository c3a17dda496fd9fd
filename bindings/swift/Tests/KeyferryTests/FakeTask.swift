import Foundation

@testable import Keyferry

/// Stands in for a task that the OS grants.
final class FakeTask: BackgroundTask, @unchecked Sendable {
    private let lock = NSLock()
    private var handler: (@Sendable () -> Void)?
    private var completions: [Bool] = []

    /// Every result that was reported to the OS, in order.
    var told: [Bool] {
        lock.withLock { completions }
    }

    /// Calls the expiration handler, as the OS does when the time is over.
    func expire() {
        let handler = lock.withLock { self.handler }
        handler?()
    }

    func onExpiration(_ handler: @escaping @Sendable () -> Void) {
        lock.withLock { self.handler = handler }
    }

    func setTaskCompleted(success: Bool) {
        lock.withLock { completions.append(success) }
    }
}
