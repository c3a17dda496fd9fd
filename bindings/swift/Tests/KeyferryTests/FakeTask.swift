import Foundation

@testable import Keyferry

/// A task as the OS grants it.
final class FakeTask: BackgroundTask, @unchecked Sendable {
    private let lock = NSLock()
    private var handler: (@Sendable () -> Void)?
    private var completions: [Bool] = []

    /// What it was told, each time.
    var told: [Bool] {
        lock.withLock { completions }
    }

    /// The time is over.
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
