import KeyferryFFI

extension KeyBackup {
    /// Fetches a backup version by its number, as long as the server answers for it, whatever it says is the current one:
    /// for a number that the app knows from its own crypto store. Asks for a wake-up.
    ///
    /// - Throws: A `StatusError`.
    public func include(version: String) async throws {
        try await download.includeVersion(version: version)
    }

    /// Accepts that the server does not give all the keys that it counts in a version. The outcome is `completed` then.
    ///
    /// - Parameters:
    ///   - version: The version.
    ///   - publicKey: Its public key, as `VersionStatus` has it: version numbers repeat.
    ///   - most: How many keys may be missing; 0 takes it back.
    /// - Returns: False if the vault knows no version of that number with that public key.
    /// - Throws: A `StatusError`.
    public func acceptShortfall(of version: String, publicKey: String, most: UInt64) async throws -> Bool {
        try await download.acceptShortfall(version: version, publicKey: publicKey, most: most)
    }

    /// Gives a version up that nobody can unlock: outcomes do not name it any more, and what is fetched of it stays, sealed.
    ///
    /// - Returns: False if the vault knows no version of that number.
    /// - Throws: A `StatusError`.
    public func giveUp(version: String) async throws -> Bool {
        try await download.giveUpVersion(version: version)
    }

    /// A page of the copies of keys that are held back, each with the one that counts in its place.
    ///
    /// - Parameters:
    ///   - after: `next` of the page before; `nil` for the first.
    ///   - limit: The most that a page has: 1 to 10,000.
    /// - Throws: A `StatusError`.
    public func conflicts(after: Int64? = nil, limit: UInt32 = 2_000) async throws -> ConflictPage {
        try await download.conflicts(after: after, limit: limit)
    }
}
