import KeyferryFFI

extension KeyBackup {
    /// The key of a message that cannot be decrypted right now: from the vault, else from the server. Name the room that
    /// the message is in. Where the app has the key, but not from so early on, `betterThan` is the first index that it has: a
    /// key that begins no earlier is `notFound` then. Many may ask at once, beside a run too. Cancelling the task does not end
    /// the request.
    ///
    /// - Throws: An `OnDemandError`.
    public func fetchSession(
        _ sessionID: String,
        in roomID: String,
        betterThan: UInt32? = nil
    ) async throws -> RoomKeyLookup {
        try await client.fetchSession(roomId: roomID, sessionId: sessionID, betterThan: betterThan)
    }

    /// Gets all keys of a room that are not in the vault. They can be looked up when this returns; the sink gets them in a
    /// run. Cancelling the task does not end the request.
    ///
    /// - Throws: An `OnDemandError`; what arrived before is kept.
    @discardableResult
    public func fetchRoom(_ roomID: String) async throws -> RoomFetch {
        try await client.fetchRoom(roomId: roomID)
    }

    /// Asks, with one small request, whether the server has anything new; if it has, a wake-up is asked for.
    ///
    /// - Throws: An `OnDemandError`.
    @discardableResult
    public func refresh() async throws -> ServerNews {
        try await client.refresh()
    }
}
