import Foundation

/// The key backup of one signed-in account.
///
/// Open it once in a process and keep it: between calls it holds no connection, thread or database, except for the
/// database that look-ups keep open until ``KeyBackupProtocol/closeLookups()``. Call ``KeyBackupProtocol/close()`` when the
/// account signs out.
///
/// ```swift
/// let backup = try await KeyBackup.open(account: account, sink: sink) { _ in try await session.accessToken() }
/// try await backup.unlock(with: .recoveryKey(text: typed))
/// let report = await backup.run(budget: .seconds(25))
/// ```
///
/// ``KeyBackupProtocol`` says what each call does.
public final class KeyBackup: KeyBackupProtocol {
    /// The user's preference on whether room keys are backed up, which all their clients share (MSC4287).
    public let preference: BackupPreference
    let client: KeyBackupClient
    let download: KeyDownload
    let reset: BackupReset
    let upload: KeyUpload
    let causes: Causes
    let calls = CallsUnderWay()
    let exports = CallsUnderWay()
    let exportTurns = Turns()
    let host: HostCallbacks
    let account: KeyBackupAccount
    /// Whether the OS can download long answers while the app is suspended.
    let hasFileDownloads: Bool
    /// Whether the app gives access to its crypto, as a reset needs it.
    let canReset: Bool
    /// Whether the app's crypto gives out its keys.
    let canUpload: Bool
    private let endings = Endings()

    private init(client: KeyBackupClient, host: HostCallbacks, options: ClientOptions) {
        account = options.account
        hasFileDownloads = options.fileDownloads != nil
        canUpload = options.roomKeySource != nil
        canReset = canUpload && options.secretKeeper != nil && options.backupSigner != nil
        self.client = client
        self.host = host
        download = client.download()
        reset = client.reset()
        upload = client.upload()
        causes = Causes(download)
        preference = BackupPreference(client.preference(), host: host)
    }

    deinit {
        close()
    }

    /// Opens a vault with all options.
    static func make(
        _ options: ClientOptions,
        transport: any HttpTransport,
        sink: (any RoomKeySink)?,
        host: HostCallbacks
    ) async throws -> KeyBackup {
        let client = try await KeyBackupClient.open(options: options, transport: transport, host: host, sink: sink)
        let backup = KeyBackup(client: client, host: host, options: options)
        await backup.showStatus()
        return backup
    }

    public var progress: DownloadProgress { host.runs.current.progress }

    public var progressUpdates: AsyncStream<DownloadProgress> { host.runs.progress.stream() }

    public var state: KeyBackupState { host.runs.current }

    public var stateUpdates: AsyncStream<KeyBackupState> { host.runs.state.stream() }

    public var arrivals: AsyncStream<[ArrivedRoomKeys]> { host.arrivals.stream() }

    public var conflictNotices: AsyncStream<ConflictNotice> { host.conflictNotices.stream() }

    /// Moves a vault that no longer opens (`OpenError.vaultDamaged`, or a keyring that has lost its key) out of the
    /// way, so that `open` creates a new one. Nothing is deleted. Close every `KeyBackup` of that vault first, in
    /// every process.
    ///
    /// The new vault fetches everything from the server again. It lacks keys that the server no longer has, the
    /// decryption key (unlock again), and a preference that was not yet written.
    ///
    /// - Parameter directory: The directory that `open` was called with.
    /// - Returns: The place of the old vault, in the same directory; `nil` if there was no vault.
    /// - Throws: An ``OpenError``: `vaultInUse` while the vault is in use, `unusableDataDir` if it cannot be moved.
    public static func setVaultAside(in directory: URL) async throws -> URL? {
        try await Keyferry.setVaultAside(dataDir: directory.path).map { URL(fileURLWithPath: $0) }
    }

    /// Begins to write lines about the library's work to the log of the app: a line for each run, and what went wrong,
    /// without secrets and without names of rooms. Call it once, when the app starts; later calls change nothing.
    ///
    /// On Apple systems the lines go to the unified log, under the subsystem `io.keyferry`.
    public static func startLogging(_ level: KeyBackupLogLevel = .info) {
        initLogging(level: level)
    }

    @discardableResult
    public func unlock(with secret: UnlockSecret) async throws -> UnlockedBackup {
        let unlocked = try await client.unlock(secret: secret)
        await showStatus()
        return unlocked
    }

    public func close() {
        // This comes first, so that nobody gets a backup that is closed.
        endings.runAll()
        client.shutdown()
        host.finish()
    }

    /// Calls `action` once when this is closed, at once if it is closed already: for what lives as long as the backup, such
    /// as its conditions.
    public func onClose(_ action: @escaping @Sendable () -> Void) {
        endings.add(action)
    }

    /// Shows what the vault says between runs. If it cannot be read now, the next call that needs it says so.
    func showStatus() async {
        guard let status = try? await download.status() else { return }
        host.runs.follow(status)
    }
}

/// Runs actions once, at the end.
private final class Endings: @unchecked Sendable {
    private let lock = NSLock()
    private var actions: [@Sendable () -> Void] = []
    private var isOver = false

    func add(_ action: @escaping @Sendable () -> Void) {
        let isLate = lock.withLock {
            if !isOver { actions.append(action) }
            return isOver
        }
        if isLate { action() }
    }

    func runAll() {
        let due = lock.withLock {
            defer { (actions, isOver) = ([], true) }
            return actions
        }
        due.forEach { $0() }
    }
}
