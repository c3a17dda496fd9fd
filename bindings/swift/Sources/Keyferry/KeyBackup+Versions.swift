extension KeyBackup {
    public func include(version: String) async throws {
        try await download.includeVersion(version: version)
    }

    public func acceptShortfall(of version: String, publicKey: String, most: UInt64) async throws -> Bool {
        try await download.acceptShortfall(version: version, publicKey: publicKey, most: most)
    }

    public func giveUp(version: String) async throws -> Bool {
        try await download.giveUpVersion(version: version)
    }
}
