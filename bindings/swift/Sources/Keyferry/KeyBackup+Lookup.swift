import Foundation
import KeyferryFFI

extension KeyBackup {
    /// Looks for a key in the vault, offline.
    ///
    /// - Throws: A `LookupError`.
    public func roomKey(session sessionID: String, in roomID: String) async throws -> RoomKeyLookup {
        try await client.findRoomKey(roomId: roomID, sessionId: sessionID)
    }

    /// The keys of a room, read from the vault as they are asked for. Ends with a `LookupError` if they cannot be read.
    public func roomKeys(in roomID: String) -> AsyncThrowingStream<RoomKey, any Error> {
        let pager = RoomKeyPager(client: client, roomID: roomID)
        return AsyncThrowingStream { try await pager.next() }
    }

    /// Tries the copies of a session on an encrypted event, and keeps which one decrypts it: that one ranks before all others
    /// from then on. Call it where a key of a session that `conflicts` lists has failed to decrypt a message.
    ///
    /// - Parameter event: The event as JSON, whole or its content alone.
    /// - Throws: A `LookupError`.
    public func prove(session sessionID: String, in roomID: String, by event: String) async throws -> KeyProof {
        try await client.proveRoomKey(roomId: roomID, sessionId: sessionID, eventJson: event)
    }

    /// Closes the connection that look-ups keep open, and wipes the keys that it holds. Call it before the app is
    /// suspended; the next look-up opens it again.
    public func closeLookups() async {
        await client.closeLookups()
    }

    /// Writes every key to an encrypted key export file. The file appears whole, or not at all. One export at a time:
    /// another one waits. Cancelling the task cancels this export, also while it waits, and no other.
    ///
    /// - Throws: An `ExportError`.
    @discardableResult
    public func exportRoomKeys(to file: URL, passphrase: String) async throws -> ExportSummary {
        do {
            // In Rust a second one would wait too, and a cancellation would mean the first.
            return try await exportTurns.inTurn { [client, exports] in
                try await exports.stoppable(stop: { client.cancelExport() }, work: {
                    try await client.exportRoomKeys(passphrase: passphrase, path: file.path)
                })
            }
        } catch is CancellationError {
            throw ExportError.Cancelled
        }
    }
}
