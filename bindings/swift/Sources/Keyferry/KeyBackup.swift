import Foundation
import KeyferryFFI

/// The key backup of one signed-in account.
///
/// Open it once in a process and keep it: between calls it holds no connection, thread or database, except for the
/// database that look-ups keep open until ``closeLookups()``. Call ``close()`` when the account signs out.
///
/// ```swift
/// let backup = try await KeyBackup.open(
///     account: account, directory: directory, protection: protection, sink: sink
/// ) { _ in try await session.accessToken() }
/// try await backup.unlock(with: .recoveryKey(text: typed))
/// let report = await backup.run(budget: 25)
/// ```
public final class KeyBackup: Sendable {
    /// The generated client that this class wraps, for calls that are missing here.
    public let client: KeyBackupClient
    /// The generated download that this class wraps, for calls that are missing here.
    public let download: KeyDownload
    /// The user's preference on whether room keys are backed up, which all their clients share (MSC4287).
    public let preference: BackupPreference
    let causes: Causes
    let runs = CallsUnderWay()
    let exports = CallsUnderWay()
    let exportTurns = Turns()
    private let host: HostCallbacks

    private init(client: KeyBackupClient, host: HostCallbacks) {
        self.client = client
        self.host = host
        download = client.download()
        causes = Causes(download)
        preference = BackupPreference(client.preference(), host: host)
    }

    deinit {
        close()
    }

    /// Opens the vault of an account, or creates it. Makes no request.
    ///
    /// - Parameters:
    ///   - account: The account whose backup it is.
    ///   - directory: The directory of the vault, a separate one for each account. It is created if it does not
    ///     exist. On iOS the app must exclude it from backup and make it readable after first unlock.
    ///   - protection: How secrets in the vault are kept.
    ///   - transport: Sends HTTP requests.
    ///   - fileDownloads: Downloads that continue while the app is suspended, such as ``BackgroundFileDownloads``.
    ///   - sink: Takes the keys into the app's crypto: see ``ClosureSink``. Without one, keys are only kept for
    ///     look-ups.
    ///   - downloadPolicy: What the download may use. `nil`: defaults for a phone. ``setPolicy(_:)`` changes it
    ///     later.
    ///   - preferencePolicy: How the app takes part in the backup preference. `nil`: it follows a value, asks the
    ///     user if there is none, and writes both forms.
    ///   - processName: The name of this process, for another one that asks who is running. `nil`: `app`.
    ///   - resolvePreferenceConflict: Asks the user which choice counts if this device and another one differ. An
    ///     error counts as `askLater`.
    ///   - scheduleWakeUp: Asks the OS for one wake-up of that purpose in place of the last one; `nil` cancels it. On
    ///     iOS ``BGTaskScheduler/keep(_:as:)`` does that. It must not wait for a call into this backup. Without it
    ///     the app decides itself when to call ``run(budget:)`` and ``BackupPreference/flush(budget:)``.
    ///   - roomsByPriority: Returns the rooms that the app knows, the most wanted first. Without it, the server's
    ///     list of joined rooms counts.
    ///   - accessToken: Returns the account's access token, a refreshed one for `TokenRequest.previousRejected`. It
    ///     is called before every request and its result is never kept. It must not wait for a call into this backup.
    ///     If it throws `HostError.SignedOut`, the account counts as signed out; after any other error, such as a
    ///     refresh without network, it is asked again later.
    /// - Throws: An `OpenError` if the options are invalid or the vault cannot be opened; nothing is left half made.
    public static func open(
        account: Account,
        directory: URL,
        protection: VaultProtection,
        transport: any HttpTransport = URLSessionTransport(),
        fileDownloads: (any FileDownloads)? = nil,
        sink: (any RoomKeySink)? = nil,
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
        let host = HostCallbacks(
            accessToken: accessToken,
            roomsByPriority: roomsByPriority,
            resolvePreferenceConflict: resolvePreferenceConflict,
            scheduleWakeUp: scheduleWakeUp
        )
        let options = ClientOptions(
            account: account,
            dataDir: directory.path,
            protection: protection,
            preference: preferencePolicy,
            download: downloadPolicy,
            processName: processName,
            fileDownloads: fileDownloads
        )
        let client = try await KeyBackupClient.open(options: options, transport: transport, host: host, sink: sink)
        let backup = KeyBackup(client: client, host: host)
        await backup.tellWhatIsThere()
        return backup
    }

    /// How far the download is: the current value at once, then changes, at most ten times a second and at every
    /// change of stage. A slow listener gets the newest value. Each access returns a separate stream, which ends with
    /// ``close()``.
    public var progress: AsyncStream<DownloadProgress> {
        host.progress.stream()
    }

    /// Keys that can be looked up now, and that the sink has taken if there is one: retry the messages on screen.
    /// This is a hint, of which a slow listener misses some; `arrivedSince` of ``download`` is exact. Each access
    /// returns a separate stream, which ends with ``close()``.
    public var arrivals: AsyncStream<[ArrivedRoomKeys]> {
        host.arrivals.stream()
    }

    /// Reports that copies of keys are held back for a cause that is new in their backup version: someone may be
    /// tampering with the backup. Sent at least once for each version and cause; ``conflicts(after:limit:)`` lists
    /// the copies. Each access returns a separate stream, which begins with the latest notice and ends with
    /// ``close()``.
    public var conflictNotices: AsyncStream<ConflictNotice> {
        host.conflictNotices.stream()
    }

    /// Returns what the vault holds. Uses no network, and may be called during a run.
    ///
    /// - Throws: A `StatusError` if the vault cannot be read.
    public func status() async throws -> DownloadStatus {
        try await download.status()
    }

    /// Counts the keys of a room that may be shared with people who are invited later (MSC4268), those that may not,
    /// and those for which that is not known yet. Leaves out keys that can never be opened. Needs no network and no
    /// unlock.
    ///
    /// - Throws: A `LookupError` if the vault cannot be read.
    public func roomHistoryShareability(of roomID: String) async throws -> RoomHistoryShareability {
        try await client.roomHistoryShareability(roomId: roomID)
    }

    /// Moves a vault that no longer opens (`OpenError.VaultDamaged`, or a keyring that has lost its key) out of the
    /// way, so that `open` creates a new one. Nothing is deleted. Close every `KeyBackup` of that vault first, in
    /// every process.
    ///
    /// The new vault fetches everything from the server again. It lacks keys that the server no longer has, the
    /// decryption key (unlock again), and a preference that was not yet written.
    ///
    /// - Parameter directory: The directory that `open` was called with.
    /// - Returns: The place of the old vault, in the same directory; `nil` if there was no vault.
    /// - Throws: An `OpenError`: `VaultInUse` while the vault is in use, `UnusableDataDir` if it cannot be moved.
    public static func setVaultAside(in directory: URL) async throws -> URL? {
        try await KeyferryFFI.setVaultAside(dataDir: directory.path).map { URL(fileURLWithPath: $0) }
    }

    /// Finds the decryption key of the backup by what the user typed or the app has, and keeps it for every version
    /// that it opens. A restart needs no unlock then, unless the vault has no protection. May be called at any time,
    /// also during a run, which then opens what it has fetched. A wrong key never replaces a good one.
    ///
    /// A decryption key, or a recovery key that is one, needs no network if the vault knows its version. A key or
    /// passphrase of secret storage is looked up on the server, and a passphrase takes a second or more of key
    /// derivation on a phone.
    ///
    /// - Returns: The versions that the key opens.
    /// - Throws: An `UnlockError` if the secret is mistyped or opens no known version, or if the server or the vault
    ///   cannot be reached.
    @discardableResult
    public func unlock(with secret: UnlockSecret) async throws -> UnlockedBackup {
        try await client.unlock(secret: secret)
    }

    /// Ends everything, wipes keys from memory, discards file downloads of the account and releases the callbacks,
    /// for good. Call it when the account signs out, and before ``setVaultAside(in:)``; releasing the last reference
    /// to this object does the same. It is not needed after a run, and would fail the calls of everyone else who uses
    /// this object. May be called more than once. The vault stays on disk.
    ///
    /// Later calls throw a `ShutDown` error; an export throws `Cancelled`, and a run returns `paused` without causes.
    public func close() {
        client.shutdown()
        host.finish()
    }

    /// Sends listeners of the progress a first value. If the vault cannot be read now, the first run reports that.
    private func tellWhatIsThere() async {
        let status = try? await download.status()
        host.progress.send(DownloadProgress(restingAt: status?.summary))
    }
}
