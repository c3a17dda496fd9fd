import Foundation

/// Tracks calls of one kind, of which Rust does one at a time and can end only "the one at work".
///
/// Cancelling a Swift task does not reach Rust, so Rust must be told. Only Rust knows which of several calls is at
/// work, so it is asked to end one only while there is no other. Such a moment comes soon, because a call that finds
/// another one at work returns at once.
final class CallsUnderWay: @unchecked Sendable {
    private let lock = NSLock()
    private var calls: Set<UUID> = []

    /// Runs `work`, and calls `stop` when the task is cancelled, until `work` has ended.
    ///
    /// `stop` may be called several times, every 20 ms: it ends the call at work, and the cancellation can come just
    /// before `work` has begun in Rust.
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

    /// Calls `stop` if no other call is under way; under the lock, so that the next call to begin is never stopped
    /// instead.
    ///
    /// - Returns: Whether the call is still under way.
    private func stopOnce(_ call: UUID, _ stop: () -> Void) -> Bool {
        lock.withLock {
            if calls == [call] { stop() }
            return calls.contains(call)
        }
    }
}
