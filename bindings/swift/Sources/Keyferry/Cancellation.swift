import Foundation

/// Runs `work`, and calls `stop` when the task is cancelled, until `work` has ended.
///
/// Cancelling a Swift task does not reach Rust, so it has to be told. It is told more than once: `stop` means what is
/// under way, and the cancellation can come in the moment before that has begun.
func stoppable<Value: Sendable>(
    stop: @escaping @Sendable () -> Void,
    work: @Sendable () async throws -> Value
) async rethrows -> Value {
    let stopper = Stopper(stop)
    defer { stopper.workHasEnded() }
    return try await withTaskCancellationHandler(operation: work) {
        Task.detached { await stopper.stop() }
    }
}

private final class Stopper: @unchecked Sendable {
    private let lock = NSLock()
    private let action: @Sendable () -> Void
    private var isOver = false

    init(_ action: @escaping @Sendable () -> Void) {
        self.action = action
    }

    func workHasEnded() {
        lock.withLock { isOver = true }
    }

    func stop() async {
        while stopOnce() {
            try? await Task.sleep(nanoseconds: 20_000_000)
        }
    }

    /// Under the lock, so that what begins next is never stopped.
    private func stopOnce() -> Bool {
        lock.withLock {
            if !isOver { action() }
            return !isOver
        }
    }
}
