import Foundation
import KeyferryFFI

/// The key backup of one signed-in account.
///
/// Open it once in a process and keep it: it holds no database, connection or thread while nothing is asked of it. Call
/// `close` when the account signs out.
public final class KeyBackup: Sendable {
    /// The Rust object below, for what this class has no word for.
    public let client: KeyBackupClient
    /// The download of the backup below, for what this class has no word for.
    public let download: KeyDownload
    /// Whether the user wants room keys to be backed up, as all their clients share it.
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

    /// Opens the vault of an account, or makes one. Does not touch the network.
    ///
    /// - Parameters:
    ///   - account: Whose backup it is.
    ///   - directory: A directory of its own for each account; it is made if it is not there. On iOS exclude it from
    ///     backup and let it be readable after first unlock.
    ///   - protection: How secrets in the vault are kept.
    ///   - transport: Who speaks HTTP.
    ///   - fileDownloads: Downloads that go on while the app is suspended, such as `BackgroundFileDownloads`.
    ///   - sink: The app's crypto, if it is to be filled.
    ///   - downloadPolicy: What the download may use. `nil`: what is made for a phone; `setPolicy` changes it later.
    ///   - preferencePolicy: How the app takes part in the backup preference. `nil`: it follows a value, asks the user
    ///     where there is none, and writes both forms.
    ///   - processName: What this process is called when another one asks who is running. `nil`: `app`.
    ///   - resolvePreferenceConflict: Asks the user which choice counts, when this and another device differ.
    ///   - scheduleWakeUp: Asks the OS for one wake-up of that purpose, in the place of the last; `nil` cancels it. On
    ///     iOS `BGTaskScheduler.keep(_:as:)` does that. Without it the app itself calls `run`, and `flush` of the
    ///     preference.
    ///   - roomsByPriority: The rooms that the app knows, the most wanted first.
    ///   - accessToken: The access token. Asked for before every request, never kept.
    /// - Throws: An `OpenError`.
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

    /// How far the download is: the current value at once, then changes, at most ten times a second. Every call is a
    /// listener of its own; a slow one gets the newest value. Ends with `close`.
    public var progress: AsyncStream<DownloadProgress> {
        host.progress.stream()
    }

    /// Keys that can be looked up now, and have been delivered if there is a sink: retry what is on screen. A hint, of
    /// which a slow listener misses some; `arrivedSince` of the download is exact. Every call is a listener of its own.
    /// Ends with `close`.
    public var arrivals: AsyncStream<[ArrivedRoomKeys]> {
        host.arrivals.stream()
    }

    /// Copies of keys are held back for a cause that a backup version had none for before: somebody may be tampering with it.
    /// Told once for each version and cause, at least; `conflicts` lists them. Every call is a listener of its own, which
    /// gets the latest at once. Ends with `close`.
    public var conflictNotices: AsyncStream<ConflictNotice> {
        host.conflictNotices.stream()
    }

    /// What is in the vault, with no network, whether or not a run is under way.
    ///
    /// - Throws: A `StatusError`.
    public func status() async throws -> DownloadStatus {
        try await download.status()
    }

    /// How many keys of a room may be shared with people who are invited later (MSC4268).
    ///
    /// - Throws: A `LookupError`.
    public func roomHistoryShareability(of roomID: String) async throws -> RoomHistoryShareability {
        try await client.roomHistoryShareability(roomId: roomID)
    }

    /// Moves a vault that does not open any more (`OpenError.VaultDamaged`, or a keyring that has lost its key) out of the
    /// way, so that `open` makes a new one. Nothing is deleted. Close every `KeyBackup` of it first, in every process.
    ///
    /// - Returns: Where it lies now; `nil` if there was none.
    /// - Throws: An `OpenError`: `VaultInUse` while somebody is at work on it.
    public static func setVaultAside(in directory: URL) async throws -> URL? {
        try await KeyferryFFI.setVaultAside(dataDir: directory.path).map { URL(fileURLWithPath: $0) }
    }

    /// Finds the decryption key of a backup version and keeps it for every version that it opens, so that a restart goes on without asking the user.
    ///
    /// - Throws: An `UnlockError`.
    @discardableResult
    public func unlock(with secret: UnlockSecret) async throws -> UnlockedBackup {
        try await client.unlock(secret: secret)
    }

    /// Ends everything and drops the callbacks, for good: when the account signs out, and before `setVaultAside`. Not after a
    /// run: nothing is open then, and whoever else uses this object would be told `ShutDown`. The vault stays on disk. May
    /// be called more than once.
    public func close() {
        client.shutdown()
        host.finish()
    }

    /// Gives listeners a first value. A vault that cannot be read now is told by the first run.
    private func tellWhatIsThere() async {
        let status = try? await download.status()
        host.progress.send(DownloadProgress(restingAt: status?.summary))
    }
}
