import KeyferryFFI

extension KeyBackup {
    /// Gets the key of a message that cannot be decrypted right now: from the vault, or else from the server. Costs
    /// one request, or two or three if the server does not have the key. `notFound` is remembered for ten minutes, or
    /// until the backup changes. Many calls may be made at once, also during a run; a key that several calls want is
    /// requested once. Cancelling the task does not end the request.
    ///
    /// ```swift
    /// if case .found(let key, _) = try await backup.fetchSession(sessionID, in: roomID) { decryptAgain(key) }
    /// ```
    ///
    /// - Parameters:
    ///   - sessionID: The session that the message was encrypted with.
    ///   - roomID: The room that the message is in.
    ///   - betterThan: The first index of the app's copy of the key, for a message from before that index: a key that
    ///     begins no earlier counts as `notFound`. `nil` if the app has no copy.
    /// - Throws: An `OnDemandError` if the key could not be looked for: `Locked` until the backup is unlocked,
    ///   `OnHold` while a ``pause(_:)`` stops requests, `Unreachable` and others for failures of the server or the
    ///   vault.
    public func fetchSession(
        _ sessionID: String,
        in roomID: String,
        betterThan: UInt32? = nil
    ) async throws -> RoomKeyLookup {
        try await client.fetchSession(roomId: roomID, sessionId: sessionID, betterThan: betterThan)
    }

    /// Fetches all keys of a room that are not in the vault. They can be looked up when this returns; the sink gets
    /// them in a run. Cancelling the task does not end the request.
    ///
    /// - Returns: How many keys are new, and whether the server was asked.
    /// - Throws: An `OnDemandError` if not all of them could be fetched; every entry that arrived before is kept.
    @discardableResult
    public func fetchRoom(_ roomID: String) async throws -> RoomFetch {
        try await client.fetchRoom(roomId: roomID)
    }

    /// Asks the server, by one small request, whether it has anything new. If it has, a wake-up is requested.
    ///
    /// - Throws: An `OnDemandError` if the server could not be asked.
    @discardableResult
    public func refresh() async throws -> ServerNews {
        try await client.refresh()
    }
}
