import KeyferryFFI

/// A sink made of a closure.
///
/// The closure gets at most 2,000 keys and answers for each, in the same order, once they are durable. If it throws,
/// nothing of the batch counts as delivered, the run ends as blocked, and the keys come again in a later run.
///
/// It gets one batch at a time. A pause cancels the task of the batch that is at work and does not wait for it; the next
/// batch does, also where it comes from another run.
public final class ClosureSink: RoomKeySink {
    private let turns = Turns()
    private let take: @Sendable ([RoomKey]) async throws -> [SinkAnswer]

    /// Makes a sink.
    public init(_ take: @escaping @Sendable ([RoomKey]) async throws -> [SinkAnswer]) {
        self.take = take
    }

    /// Gives the batch to the closure, once that is done with the last one. Called by a run.
    public func deliver(keys: [RoomKey]) async throws -> [SinkAnswer] {
        try await turns.inTurn { try await take(keys) }
    }
}
