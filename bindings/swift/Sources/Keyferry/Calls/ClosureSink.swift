
/// A sink made of a closure, which takes keys into the app's crypto.
///
/// ```swift
/// let sink = ClosureSink { keys in
///     try await crypto.importAndCommit(keys)
///     return keys.map { _ in .imported }
/// }
/// ```
///
/// The closure gets a batch of keys, and returns one answer for each, in the same order, once they are durable. A
/// batch may come twice, so taking a key again must do no harm. If the closure throws, nothing of the batch counts as
/// delivered, the run ends as blocked, and the keys come again in a later run.
///
/// The closure gets one batch at a time. A pause cancels the task of the batch under way without waiting for its end;
/// the next batch waits for it, also if it comes from another run.
public final class ClosureSink: RoomKeySink {
    private let turns = Turns()
    private let mostAtATime: SinkLimits
    private let take: @Sendable ([RoomKey]) async throws -> [SinkAnswer]

    /// Makes a sink from a closure.
    ///
    /// - Parameters:
    ///   - limits: How many keys a batch may have, 2,000 by default, and how long a pause waits for the closure.
    ///   - take: Takes a batch into the app's crypto.
    public init(
        limits: SinkLimits = SinkLimits(),
        _ take: @escaping @Sendable ([RoomKey]) async throws -> [SinkAnswer]
    ) {
        mostAtATime = limits
        self.take = take
    }

    /// Passes a batch to the closure once the last batch is done. Called by a run.
    ///
    /// - Throws: The error of the closure, or a `CancellationError` if the task is cancelled before the batch's turn.
    public func deliver(keys: [RoomKey]) async throws -> [SinkAnswer] {
        try await turns.inTurn { try await take(keys) }
    }

    /// Returns the limits that the sink was made with. Called by a run.
    public func limits() -> SinkLimits {
        mostAtATime
    }
}
