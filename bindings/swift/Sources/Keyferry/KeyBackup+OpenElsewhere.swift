#if !canImport(Security)
import Foundation

extension KeyBackup {
    /// Opens the vault of an account, or creates it, on a system that is not Apple's. Makes no request. The parameters that
    /// are not listed are those of Apple systems.
    ///
    /// - Parameters:
    ///   - directory: The directory of the vault, a separate one for each account. It is created if it does not exist.
    ///   - protection: How secrets in the vault are kept.
    ///   - scheduleWakeUp: Asks the OS for one wake-up of that purpose in place of the last one; `nil` cancels it. It must
    ///     not wait for a call into this backup. Without it the app decides itself when to call
    ///     ``KeyBackupProtocol/run(budget:)``, ``KeyBackupResetProtocol/runReset(budget:)``,
    ///     ``KeyBackupUploadProtocol/flushUploads(budget:)`` and ``BackupPreferenceProtocol/flush(budget:)``.
    /// - Throws: An ``OpenError`` if the options are invalid or the vault cannot be opened; nothing is left half made.
    public static func open(
        account: KeyBackupAccount,
        directory: URL,
        protection: VaultProtection,
        sink: (any RoomKeySink)? = nil,
        secretKeeper: (any SecretKeeper)? = nil,
        backupSigner: (any BackupSigner)? = nil,
        roomKeySource: (any RoomKeySource)? = nil,
        transport: any HttpTransport = URLSessionTransport(),
        fileDownloads: (any FileDownloads)? = nil,
        downloadPolicy: DownloadPolicy? = nil,
        preferencePolicy: PreferencePolicy? = nil,
        processName: String? = nil,
        resolvePreferenceConflict: @escaping @Sendable (PreferenceConflict) async throws -> PreferenceResolution = { _ in
            .askLater
        },
        scheduleWakeUp: @escaping @Sendable (WakeUpPurpose, WakeUp?) async throws -> Void = { _, _ in },
        roomsByPriority: @escaping @Sendable () async throws -> [String] = { [] },
        accessToken: @escaping @Sendable (TokenRequest) async throws -> String
    ) async throws -> KeyBackup {
        let options = ClientOptions(
            account: account,
            dataDir: directory.path,
            protection: protection,
            preference: preferencePolicy,
            download: downloadPolicy,
            processName: processName,
            fileDownloads: fileDownloads,
            secretKeeper: secretKeeper,
            backupSigner: backupSigner,
            roomKeySource: roomKeySource
        )
        let host = HostCallbacks(
            accessToken: accessToken,
            roomsByPriority: roomsByPriority,
            resolvePreferenceConflict: resolvePreferenceConflict,
            scheduleWakeUp: scheduleWakeUp
        )
        return try await make(options, transport: transport, sink: sink, host: host)
    }
}
#endif
