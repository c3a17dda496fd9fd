import Foundation
import KeyferryFFI

extension KeyBackup {
    /// Looks a key up in the vault, without network. Costs about one decryption; the first call after `open` or
    /// ``closeLookups()`` costs a little more. ``fetchSession(_:in:betterThan:)`` also asks the server.
    ///
    /// - Throws: A `LookupError` if the vault cannot be read; `Locked` if the entry is there and its version is not
    ///   unlocked.
    public func roomKey(session sessionID: String, in roomID: String) async throws -> RoomKeyLookup {
        try await client.findRoomKey(roomId: roomID, sessionId: sessionID)
    }

    /// Returns the keys of a room, each once. They are read from the vault as they are asked for, 100 at a time. Keys
    /// that cannot be opened are left out.
    ///
    /// ```swift
    /// for try await key in backup.roomKeys(in: roomID) { show(key.sessionId) }
    /// ```
    ///
    /// The stream ends with a `LookupError` if the vault cannot be read or the backup is not unlocked.
    public func roomKeys(in roomID: String) -> AsyncThrowingStream<RoomKey, any Error> {
        let pager = RoomKeyPager(client: client, roomID: roomID)
        return AsyncThrowingStream { try await pager.next() }
    }

    /// Tries the vault's copies of a session on an encrypted event. A copy is proved genuine if it decrypts the event
    /// and the plaintext names the room; look-ups, the sink and exports then prefer it to all others. Call it if a
    /// session that ``conflicts(after:limit:)`` lists has failed to decrypt a message.
    ///
    /// - Parameters:
    ///   - sessionID: The session that the event was encrypted with.
    ///   - roomID: The room that the event is in.
    ///   - event: The JSON of the event, or of its content, as the server sent it; at most 256 KiB.
    /// - Throws: A `LookupError` if the vault cannot be read.
    public func prove(session sessionID: String, in roomID: String, by event: String) async throws -> KeyProof {
        try await client.proveRoomKey(roomId: roomID, sessionId: sessionID, eventJson: event)
    }

    /// Closes the database that look-ups keep open, and wipes the decryption keys that they hold in memory. Call it
    /// before the app is suspended; the next look-up opens it again.
    public func closeLookups() async {
        await client.closeLookups()
    }

    /// Writes every key of the vault to an encrypted key export file, as Element imports it (client-server API, "Key
    /// export format"). Deriving its key takes 500,000 rounds. Fetched entries that are not opened yet are opened for
    /// it. The file appears whole or not at all. One export at a time: another one waits. Cancelling the task cancels
    /// this export, also while it waits, and no other.
    ///
    /// - Returns: How many keys the file has, and how many were left out.
    /// - Throws: An `ExportError` if the passphrase is empty, the file cannot be written, the vault cannot be read,
    ///   or the task was cancelled (`Cancelled`).
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
            throw ExportError.Cancelled
        }
    }
}
