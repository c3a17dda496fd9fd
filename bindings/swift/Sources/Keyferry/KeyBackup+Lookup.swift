import Foundation

private let keysOfAPage: UInt32 = 100
private let namesOfAPage: UInt32 = 2_000

extension KeyBackup {
    public func roomKey(session sessionID: String, in roomID: String) async throws -> RoomKeyLookup {
        try await client.findRoomKey(roomId: roomID, sessionId: sessionID)
    }

    public func roomKeys(in roomID: String) -> AsyncThrowingStream<RoomKey, any Error> {
        Pager { [client] after in
            let page = try await client.roomKeys(roomId: roomID, after: after, limit: keysOfAPage)
            return (page.keys, page.next)
        }.elements
    }

    public func arrived(since cursor: ArrivalCursor) -> AsyncThrowingStream<ArrivedPage, any Error> {
        let pages = ArrivedPages(after: cursor) { [download] cursor in
            try await download.arrivedSince(cursor: cursor, limit: namesOfAPage)
        }
        return AsyncThrowingStream { try await pages.next() }
    }

    public func failures(for reason: FailureReason) -> AsyncThrowingStream<EntryRef, any Error> {
        Pager { [download] after in
            let page = try await download.failures(reason: reason, after: after, limit: namesOfAPage)
            return (page.entries, page.next)
        }.elements
    }

    public func conflicts() -> AsyncThrowingStream<KeyConflict, any Error> {
        Pager { [download] after in
            let page = try await download.conflicts(after: after, limit: namesOfAPage)
            return (page.conflicts, page.next)
        }.elements
    }

    public func refusals() -> AsyncThrowingStream<RefusedEntry, any Error> {
        Pager { [download] after in
            let page = try await download.refusals(after: after, limit: namesOfAPage)
            return (page.entries, page.next)
        }.elements
    }

    public func prove(session sessionID: String, in roomID: String, by event: String) async throws -> KeyProof {
        try await client.proveRoomKey(roomId: roomID, sessionId: sessionID, eventJson: event)
    }

    public func roomHistoryShareability(of roomID: String) async throws -> RoomHistoryShareability {
        try await client.roomHistoryShareability(roomId: roomID)
    }

    public func closeLookups() async {
        await client.closeLookups()
    }

    @discardableResult
    public func exportRoomKeys(to file: URL, passphrase: String) async throws -> ExportSummary {
        do {
            // A second export must not wait in Rust: there a cancellation would end the first one.
            return try await exportTurns.inTurn { [client, exports] in
                try await exports.stoppable(stop: { client.cancelExport() }, work: {
                    try await client.exportRoomKeys(passphrase: passphrase, path: file.path)
                })
            }
        } catch is CancellationError {
            throw ExportError.cancelled
        }
    }
}

/// Reads the pages of keys that have arrived, as they are asked for.
private actor ArrivedPages {
    private let read: @Sendable (ArrivalCursor) async throws -> ArrivedPage
    private var cursor: ArrivalCursor
    private var isOver = false

    init(after cursor: ArrivalCursor, _ read: @escaping @Sendable (ArrivalCursor) async throws -> ArrivedPage) {
        self.cursor = cursor
        self.read = read
    }

    /// Returns the next page that has keys, or `nil` at the end.
    func next() async throws -> ArrivedPage? {
        while !isOver {
            let page = try await read(cursor)
            cursor = page.next
            isOver = !page.more
            if !page.arrived.isEmpty { return page }
        }
        return nil
    }
}
