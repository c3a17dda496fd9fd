#if canImport(Security)
import Foundation

extension KeyBackup {
    /// Opens the key backup of an account, or creates its vault. Makes no request. If this process has the backup open
    /// already, this returns the same object, with the options that it was opened with: so an app calls this wherever it
    /// needs the backup.
    ///
    /// ```swift
    /// let backup = try await KeyBackup.open(account: session.account, sink: session.sink) { _ in
    ///     try await session.accessToken()
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - account: The account whose backup it is.
    ///   - directory: Where the vault is, a separate directory for each account; created if it does not exist, excluded
    ///     from backup, and readable after the phone's first unlock. `nil`: ``directory(for:)``.
    ///   - protection: How secrets in the vault are kept. `nil`: with a key in the Keychain, by ``KeychainKeyring``.
    ///   - sink: Takes the keys into the app's crypto: see ``ClosureSink``. Without one, keys are only kept for look-ups.
    ///   - transport: Sends HTTP requests.
    ///   - fileDownloads: Downloads that continue while the app is suspended, such as ``BackgroundFileDownloads``.
    ///   - downloadPolicy: What the download may use. `nil`: defaults for a phone, with 25 MB on metered networks.
    ///     ``KeyBackupProtocol/setPolicy(_:)`` changes it later.
    ///   - preferencePolicy: How the app takes part in the backup preference. `nil`: it follows a value, asks the user if
    ///     there is none, and writes both forms.
    ///   - processName: The name of this process, for another one that asks who is running. `nil`: `app`.
    ///   - resolvePreferenceConflict: Asks the user which choice counts if this device and another one differ. An error
    ///     counts as `askLater`.
    ///   - scheduleWakeUp: Asks the OS for one wake-up of that purpose in place of the last one; `nil` cancels it. It must
    ///     not wait for a call into this backup. Without it, BGTaskScheduler is asked, once the app has called
    ///     ``registerBackgroundTasks(identifiers:backups:)``.
    ///   - reportsConditions: Whether the conditions of the phone are reported, by ``PhoneConditions``.
    ///   - roomsByPriority: Returns the rooms that the app knows, the most wanted first. Without it, the server's list of
    ///     joined rooms counts.
    ///   - accessToken: Returns the account's access token, a refreshed one for `TokenRequest.previousRejected`. It is
    ///     called before every request and its result is never kept. It must not wait for a call into this backup. If it
    ///     throws `HostError.signedOut`, the account counts as signed out; after any other error, such as a refresh
    ///     without network, it is asked again later.
    /// - Throws: An ``OpenError`` if the options are invalid or the vault cannot be opened; nothing is left half made. After
    ///   `vaultDamaged`, or `keyringUnavailable` with `keyLost`, call ``setVaultAside(in:)`` with the directory and open
    ///   again: everything is downloaded again.
    public static func open(
        account: KeyBackupAccount,
        directory: URL? = nil,
        protection: VaultProtection? = nil,
        sink: (any RoomKeySink)? = nil,
        transport: any HttpTransport = URLSessionTransport(),
        fileDownloads: (any FileDownloads)? = nil,
        downloadPolicy: DownloadPolicy? = nil,
        preferencePolicy: PreferencePolicy? = nil,
        processName: String? = nil,
        resolvePreferenceConflict: @escaping @Sendable (PreferenceConflict) async throws -> PreferenceResolution = { _ in
            .askLater
        },
        scheduleWakeUp: (@Sendable (WakeUpPurpose, WakeUp?) async throws -> Void)? = nil,
        reportsConditions: Bool = true,
        roomsByPriority: @escaping @Sendable () async throws -> [String] = { [] },
        accessToken: @escaping @Sendable (TokenRequest) async throws -> String
    ) async throws -> KeyBackup {
        try await OpenBackups.shared.backup(of: account.userId) {
            let options = ClientOptions(
                account: account,
                dataDir: try vaultDirectory(directory, for: account.userId).path,
                protection: protection ?? .keyring(keyring: KeychainKeyring()),
                preference: preferencePolicy,
                download: downloadPolicy,
                processName: processName,
                fileDownloads: fileDownloads
            )
            let host = HostCallbacks(
                accessToken: accessToken,
                roomsByPriority: roomsByPriority,
                resolvePreferenceConflict: resolvePreferenceConflict,
                scheduleWakeUp: scheduleWakeUp ?? usualScheduler(for: account.userId)
            )
            let backup = try await make(options, transport: transport, sink: sink, host: host)
            if reportsConditions { await backup.reportConditions() }
            return backup
        }
    }

    /// Forgets the key backup of an account that has signed out: closes it, deletes its vault and the key of that, and
    /// cancels its background work. Keys that were delivered to the app's crypto stay there. If the app keeps the vault's
    /// key itself (`protection`), it deletes that itself.
    ///
    /// - Parameters:
    ///   - userID: The account.
    ///   - directory: Where the vault is, if the app has chosen that.
    ///   - keyring: The keyring, if the app has chosen another service or access group.
    /// - Throws: `HostError.failed` if the Keychain cannot delete the key, or the error of the file system if a file cannot
    ///   be deleted. Without its key, what is left cannot be read.
    public static func forget(
        _ userID: String,
        directory: URL? = nil,
        keyring: KeychainKeyring = KeychainKeyring()
    ) async throws {
        if let backup = await OpenBackups.shared.find(userID) {
            backup.close()
            await backup.awaitQuiescent()
        }
        #if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
        BackgroundScheduler.shared.removeAll(of: userID)
        #endif
        try keyring.delete(name: "keyferry \(userID)")
        let directory = try directory ?? self.directory(for: userID)
        do {
            try FileManager.default.removeItem(at: directory)
        } catch CocoaError.fileNoSuchFile {
            // Never opened, or forgotten before.
        }
    }

    private static func vaultDirectory(_ chosen: URL?, for userID: String) throws -> URL {
        do {
            let directory = try chosen ?? self.directory(for: userID)
            try FileManager.default.createPrivateDirectory(at: directory)
            return directory
        } catch {
            throw OpenError.unusableDataDir
        }
    }

    private static func usualScheduler(
        for userID: String
    ) -> @Sendable (WakeUpPurpose, WakeUp?) async throws -> Void {
        #if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
        { purpose, wakeUp in try BackgroundScheduler.shared.keep(wakeUp, for: purpose, of: userID) }
        #else
        { _, _ in }
        #endif
    }

    /// Reports the conditions of the phone until the backup is closed.
    private func reportConditions() async {
        #if canImport(Network) && canImport(UIKit) && !os(watchOS)
        let conditions = await PhoneConditions(of: self)
        onClose { withExtendedLifetime(conditions) {} }
        #endif
    }
}
#endif
