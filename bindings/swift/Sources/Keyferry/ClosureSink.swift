import KeyferryFFI

/// A sink made of a closure.
///
/// The closure gets at most 2,000 keys and answers for each, in the same order, once they are durable. If it throws,
/// nothing of the batch counts as delivered, the run ends as blocked, and the keys come again in a later run.
public final class ClosureSink: RoomKeySink {
    private let take: @Sendable ([RoomKey]) async throws -> [SinkAnswer]

    /// Makes a sink.
    public init(_ take: @escaping @Sendable ([RoomKey]) async throws -> [SinkAnswer]) {
        self.take = take
    }

    /// Called by a run.
    public func deliver(keys: [RoomKey]) async throws -> [SinkAnswer] {
        try await take(keys)
    }
}
