import Foundation

/// Calls the completion handler of the OS once two things have happened, in either order: the OS has handed it over,
/// and the session has delivered all its events.
final class BackgroundEvents: @unchecked Sendable {
    /// The completion handler of the OS (`done`, called on the main thread), and the work to do before it.
    struct Waiter: @unchecked Sendable {
        let work: @Sendable () async -> Void
        let done: () -> Void
    }

    private let lock = NSLock()
    private var waiter: Waiter?
    private var isTold = false

    /// Notes that the OS waits for the app.
    func wait(_ waiter: Waiter) {
        meet { self.waiter = waiter }
    }

    /// Notes that the session has delivered all its events.
    func areTold() {
        meet { isTold = true }
    }

    private func meet(_ change: () -> Void) {
        let met = lock.withLock { () -> Waiter? in
            change()
            guard isTold, let waiter else { return nil }
            (self.waiter, isTold) = (nil, false)
            return waiter
        }
        guard let met else { return }
        Task {
            await met.work()
            await MainActor.run { met.done() }
        }
    }
}
