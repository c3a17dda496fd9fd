#if canImport(Security)
import Foundation

extension KeyBackup {
    /// Opens the key backup of an account, or creates its vault. Makes no request. If this process has the backup open
    /// already, this returns the same object, with the options that it was opened with: so an app calls this wherever it
    /// needs the backup. One that was opened for another device or homeserver of the user is closed.
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
    ///   - secretKeeper: Keeps keys in the account's secret storage. A reset needs this and the next two, which the app's
    ///     crypto answers.
    ///   - backupSigner: Signs a new backup.
    ///   - roomKeySource: Gives out the keys that the app's crypto has. Alone it is enough to keep a backup up to date:
    ///     see ``KeyBackupUploadProtocol``.
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
        scheduleWakeUp: (@Sendable (WakeUpPurpose, WakeUp?) async throws -> Void)? = nil,
        reportsConditions: Bool = true,
        roomsByPriority: @escaping @Sendable () async throws -> [String] = { [] },
        accessToken: @escaping @Sendable (TokenRequest) async throws -> String
    ) async throws -> KeyBackup {
        try await OpenBackups.shared.backup(of: account) {
            let place = try directory ?? self.directory(for: account.userId)
            let options = ClientOptions(
                account: account,
                dataDir: place.path,
                protection: protection ?? .keyring(keyring: KeychainKeyring()),
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
                scheduleWakeUp: scheduleWakeUp ?? usualScheduler(for: account.userId)
            )
            let backup = try await inDirectory(place) {
                try await make(options, transport: transport, sink: sink, host: host)
            }
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
    /// - Throws: `OpenError.invalidAccount` if this is not a user id. Everything that can be deleted is deleted before one of
    ///   these is thrown: `OpenError.keyringUnavailable` if the Keychain cannot delete the key now,
    ///   `OpenError.unusableDataDir` if a file cannot be deleted.
    public static func forget(
        _ userID: String,
        directory: URL? = nil,
        keyring: KeychainKeyring = KeychainKeyring()
    ) async throws {
        let place = try directory ?? self.directory(for: userID)
        try await OpenBackups.shared.afterClosing(userID) {
            #if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
            BackgroundScheduler.shared.removeAll(of: userID)
            #endif
            let hasNoKey = (try? keyring.delete(name: "keyferry \(userID)")) != nil
            do {
                try FileManager.default.removeItem(at: place)
            } catch CocoaError.fileNoSuchFile {
                // Never opened, or forgotten before.
            } catch {
                throw OpenError.unusableDataDir
            }
            guard hasNoKey else { throw OpenError.keyringUnavailable(keyLost: false) }
        }
    }

    /// Opens a vault in a directory that is made for it, and leaves no empty one if the vault does not open.
    private static func inDirectory(
        _ place: URL,
        open: @Sendable () async throws -> KeyBackup
    ) async throws -> KeyBackup {
        let isNew = !FileManager.default.fileExists(atPath: place.path)
        do {
            try FileManager.default.createPrivateDirectory(at: place)
        } catch {
            throw OpenError.unusableDataDir
        }
        do {
            return try await open()
        } catch {
            // Only an empty one: `rmdir` deletes no file.
            if isNew { rmdir(place.path) }
            throw error
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
