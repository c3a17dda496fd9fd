extension KeyBackup {
    public func fetchSession(
        _ sessionID: String,
        in roomID: String,
        betterThan: UInt32?
    ) async throws -> RoomKeyLookup {
        try await client.fetchSession(roomId: roomID, sessionId: sessionID, betterThan: betterThan)
    }

    @discardableResult
    public func fetchRoom(_ roomID: String) async throws -> RoomFetch {
        try await client.fetchRoom(roomId: roomID)
    }

    @discardableResult
    public func refresh() async throws -> ServerNews {
        try await client.refresh()
    }
}
