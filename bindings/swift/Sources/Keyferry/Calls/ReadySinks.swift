extension ClosureSink {
    /// Makes a sink for an SDK that imports key export files, which every Matrix SDK does: each batch goes to the closure
    /// as a file with a passphrase of its own. The keys must be durable when the closure returns.
    ///
    /// ```swift
    /// let sink = ClosureSink.forKeyFiles { file in
    ///     try await sdk.importRoomKeys(file.content, passphrase: file.passphrase)
    /// }
    /// ```
    ///
    /// If the closure throws ``CryptoError/refused(reason:)``, the batch is halved and tried again, until the key is found
    /// for which the file was refused. After any other error the batch comes again in a later run.
    public static func forKeyFiles(
        limits: SinkLimits = SinkLimits(),
        _ importFile: @escaping @Sendable (KeyFile) async throws -> Void
    ) -> ClosureSink {
        ClosureSink(limits: limits) { keys in
            try await inParts(keys[...]) { try await importFile(keyFile(keys: $0)) }
        }
    }

    /// Makes a sink for matrix-sdk-crypto-ffi. Keys that are in the backup which the machine uploads to go to
    /// `importFromBackup`, as JSON with the version, and are marked as backed up there. All others go to `importFile`:
    /// marked for another version, they would never be uploaded.
    ///
    /// ```swift
    /// let sink = ClosureSink.forCryptoFfi {
    ///     try machine.getBackupKeys()?.backupVersion()
    /// } importFromBackup: { json, version in
    ///     _ = try machine.importRoomKeysFromBackup(keys: json, backupVersion: version, progressListener: listener)
    /// } importFile: { file in
    ///     _ = try machine.importRoomKeys(keys: file.content, passphrase: file.passphrase, progressListener: listener)
    /// }
    /// ```
    ///
    /// Errors count as ``forKeyFiles(limits:_:)`` says.
    ///
    /// - Parameters:
    ///   - limits: How many keys a batch may have, 2,000 by default, and how long a pause waits for the closures.
    ///   - ownVersion: Returns the backup version that the machine uploads to, or `nil` if it uploads to none.
    ///   - importFromBackup: Imports JSON, and marks its keys as backed up in that version.
    ///   - importFile: Imports a file, and marks nothing.
    public static func forCryptoFfi(
        limits: SinkLimits = SinkLimits(),
        ownVersion: @escaping @Sendable () async throws -> String?,
        importFromBackup: @escaping @Sendable (_ json: String, _ version: String) async throws -> Void,
        importFile: @escaping @Sendable (KeyFile) async throws -> Void
    ) -> ClosureSink {
        ClosureSink(limits: limits) { keys in
            let own = try await ownVersion()
            let isOwn = keys.map { own != nil && $0.origin.isCurrent && $0.origin.version == own }
            func answers(of own: Bool, _ importing: ([RoomKey]) async throws -> Void) async throws -> [SinkAnswer] {
                let part = zip(keys, isOwn).filter { $0.1 == own }.map(\.0)
                return part.isEmpty ? [] : try await inParts(part[...], importing: importing)
            }
            let ofOwn = try await answers(of: true) { try await importFromBackup(exportedJson(keys: $0), own ?? "") }
            let ofOthers = try await answers(of: false) { try await importFile(keyFile(keys: $0)) }
            var (left, others) = (ofOwn.makeIterator(), ofOthers.makeIterator())
            return isOwn.compactMap { $0 ? left.next() : others.next() }
        }
    }

    private static func inParts(
        _ keys: ArraySlice<RoomKey>, importing: ([RoomKey]) async throws -> Void
    ) async throws -> [SinkAnswer] {
        do {
            try await importing(Array(keys))
            return keys.map { _ in .imported }
        } catch CryptoError.refused(let reason) {
            if keys.count < 2 { return keys.map { _ in .refused(reason: reason) } }
            let middle = keys.startIndex + keys.count / 2
            let first = try await inParts(keys[..<middle], importing: importing)
            return try await first + inParts(keys[middle...], importing: importing)
        }
    }
}
