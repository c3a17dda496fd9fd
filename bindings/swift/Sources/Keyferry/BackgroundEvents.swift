import Foundation

/// Brings two together, in either order: the OS, which waits until the app has dealt with the events of a session, and the
/// session, which says that all are told.
final class BackgroundEvents: @unchecked Sendable {
    /// The OS, and what to do for it first. `done` is called on the main thread.
    struct Waiter: @unchecked Sendable {
        let work: @Sendable () async -> Void
        let done: () -> Void
    }

    private let lock = NSLock()
    private var waiter: Waiter?
    private var isTold = false

    /// The OS waits.
    func wait(_ waiter: Waiter) {
        meet { self.waiter = waiter }
    }

    /// All are told.
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
