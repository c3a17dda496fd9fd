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
    private var waiters: [Waiter] = []
    private var isTold = false

    /// Notes that the OS waits for the app.
    func wait(_ waiter: Waiter) {
        meet { waiters.append(waiter) }
    }

    /// Notes that the session has delivered all its events.
    func areTold() {
        meet { isTold = true }
    }

    private func meet(_ change: () -> Void) {
        let met = lock.withLock { () -> [Waiter] in
            change()
            guard isTold, !waiters.isEmpty else { return [] }
            defer { (waiters, isTold) = ([], false) }
            return waiters
        }
        guard !met.isEmpty else { return }
        Task {
            for waiter in met {
                await waiter.work()
                await MainActor.run { waiter.done() }
            }
        }
    }
}
