import Foundation

/// Lets callers do their work one at a time, in the order in which they come.
final class Turns: @unchecked Sendable {
    private struct Waiter {
        let id: UUID
        let turn: CheckedContinuation<Void, any Error>
    }

    private let lock = NSLock()
    private var isTaken = false
    private var waiters: [Waiter] = []

    /// Waits for a turn and does `work` in it.
    ///
    /// - Throws: A `CancellationError` if the task is cancelled before the work begins; otherwise the error of
    ///   `work`.
    func inTurn<Value: Sendable>(_ work: @Sendable () async throws -> Value) async throws -> Value {
        try await takeTurn()
        defer { passTurn() }
        try Task.checkCancellation()
        return try await work()
    }

    private func takeTurn() async throws {
        let id = UUID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { turn in
                let isMine = lock.withLock { () -> Bool in
                    guard isTaken else {
                        isTaken = true
                        return true
                    }
                    waiters.append(Waiter(id: id, turn: turn))
                    return false
                }
                if isMine { turn.resume() }
                // The cancellation came before this waiter was in the list.
                if Task.isCancelled { giveUp(id) }
            }
        } onCancel: {
            giveUp(id)
        }
    }

    private func giveUp(_ id: UUID) {
        let waiter = lock.withLock { () -> Waiter? in
            waiters.firstIndex { $0.id == id }.map { waiters.remove(at: $0) }
        }
        waiter?.turn.resume(throwing: CancellationError())
    }

    private func passTurn() {
        let next = lock.withLock { () -> Waiter? in
            guard waiters.isEmpty else { return waiters.removeFirst() }
            isTaken = false
            return nil
        }
        next?.turn.resume()
    }
}
