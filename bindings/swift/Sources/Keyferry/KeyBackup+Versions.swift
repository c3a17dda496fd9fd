import KeyferryFFI

extension KeyBackup {
    /// Fetches the backup version with this number for as long as the server has it, whichever version is current.
    /// Use it for a number that the app knows from its own crypto store. Requests a wake-up. Does nothing for a text
    /// that cannot be a version (empty, `.`, `..`, or over 128 characters).
    ///
    /// - Throws: A `StatusError` if the vault cannot be written.
    public func include(version: String) async throws {
        try await download.includeVersion(version: version)
    }

    /// Accepts that the server does not return all the keys that it counts in a version. If at most `most` are
    /// missing, the outcome of a run is `completed` and says how many are.
    ///
    /// - Parameters:
    ///   - version: The number of the version.
    ///   - publicKey: The public key of the version, from `VersionStatus`: version numbers can repeat.
    ///   - most: How many keys may be missing; 0 withdraws the acceptance.
    /// - Returns: False if the vault knows no such version with that public key.
    /// - Throws: A `StatusError` if the vault cannot be written.
    public func acceptShortfall(of version: String, publicKey: String, most: UInt64) async throws -> Bool {
        try await download.acceptShortfall(version: version, publicKey: publicKey, most: most)
    }

    /// Gives up a version that the user cannot unlock: outcomes no longer name it. Its fetched entries stay in the
    /// vault, still encrypted, and a later unlock takes it up again.
    ///
    /// - Returns: False if the vault knows no version of that number.
    /// - Throws: A `StatusError` if the vault cannot be written.
    public func giveUp(version: String) async throws -> Bool {
        try await download.giveUpVersion(version: version)
    }

    /// Returns a page of the copies of keys that are held back, each with the copy that counts in its place. The
    /// server, or someone who can write to the backup, may be moving or forging keys: see ``prove(session:in:by:)``.
    ///
    /// - Parameters:
    ///   - after: `next` of the page before; `nil` for the first page.
    ///   - limit: The most copies of a page: 1 to 1,000; larger values count as 1,000.
    /// - Throws: A `StatusError` if the vault cannot be read.
    public func conflicts(after: Int64? = nil, limit: UInt32 = 2_000) async throws -> ConflictPage {
        try await download.conflicts(after: after, limit: limit)
    }
}
