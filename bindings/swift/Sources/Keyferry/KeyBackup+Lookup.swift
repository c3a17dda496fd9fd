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

    /// Closes the connection that look-ups keep open, and wipes the keys that it holds. Call it before the app is
    /// suspended; the next look-up opens it again.
    public func closeLookups() async {
        await client.closeLookups()
    }

    /// Writes every key to an encrypted key export file. The file appears whole, or not at all. Cancelling the task
    /// cancels the export.
    ///
    /// - Throws: An `ExportError`.
    @discardableResult
    public func exportRoomKeys(to file: URL, passphrase: String) async throws -> ExportSummary {
        try await stoppable(stop: { [client] in client.cancelExport() }, work: { [client] in
            try await client.exportRoomKeys(passphrase: passphrase, path: file.path)
        })
    }
}
