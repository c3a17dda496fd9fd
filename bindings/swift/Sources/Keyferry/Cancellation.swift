import Foundation

/// Calls under way of one kind, of which Rust does one at a time and can end "the one that is at work".
///
/// Cancelling a Swift task does not reach Rust, so it has to be told. Which of several calls is at work only Rust knows: it
/// is told to end one only while there is no other. That is soon, as a call that finds another one at work returns at once.
final class CallsUnderWay: @unchecked Sendable {
    private let lock = NSLock()
    private var calls: Set<UUID> = []

    /// Runs `work`, and calls `stop` when the task is cancelled, until `work` has ended.
    ///
    /// It is called more than once: `stop` means what is at work, and the cancellation can come in the moment before that
    /// has begun.
    func stoppable<Value: Sendable>(
        stop: @escaping @Sendable () -> Void,
        work: @Sendable () async throws -> Value
    ) async rethrows -> Value {
        let call = UUID()
        lock.withLock { _ = calls.insert(call) }
        defer { lock.withLock { _ = calls.remove(call) } }
        return try await withTaskCancellationHandler(operation: work) {
            Task.detached {
                while self.stopOnce(call, stop) {
                    try? await Task.sleep(nanoseconds: 20_000_000)
                }
            }
        }
    }

    /// Under the lock, so that what begins next is never stopped.
    ///
    /// - Returns: Whether the call is still under way.
    private func stopOnce(_ call: UUID, _ stop: () -> Void) -> Bool {
        lock.withLock {
            if calls == [call] { stop() }
            return calls.contains(call)
        }
    }
}
