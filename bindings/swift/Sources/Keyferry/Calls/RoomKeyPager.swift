import KeyferryFFI

/// Reads the keys of a room page by page, as they are asked for.
actor RoomKeyPager {
    private static let pageSize: UInt32 = 100

    private let client: KeyBackupClient
    private let roomID: String
    private var page: ArraySlice<RoomKey> = []
    private var after: Int64?
    private var isLast = false

    init(client: KeyBackupClient, roomID: String) {
        self.client = client
        self.roomID = roomID
    }

    /// Returns the next key, or `nil` at the end.
    func next() async throws -> RoomKey? {
        while page.isEmpty, !isLast {
            let read = try await client.roomKeys(roomId: roomID, after: after, limit: Self.pageSize)
            page = read.keys[...]
            after = read.next
            isLast = read.next == nil
        }
        return page.popFirst()
    }
}
