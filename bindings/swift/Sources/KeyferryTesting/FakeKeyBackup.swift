import Foundation
import Keyferry

/// A key backup that follows a script: for tests and previews of apps. It has no server and no vault.
///
/// ```swift
/// let backup = FakeKeyBackup(.of(keys: 1_000), recoveryKey: "EsTc …")
/// backup.keys = [RoomKey(…)]                 // look-ups find it
/// backup.failNext(AccessError.vaultInaccessible)          // the next call that can fail throws it
/// ```
public final class FakeKeyBackup: KeyBackupProtocol, @unchecked Sendable {
    public let preference = FakeBackupPreference()
    /// What the calls of a reset answer.
    public let reset = FakeReset()
    /// What the calls about uploads answer.
    public let uploads = FakeUploads()

    static let version = "1"
    private let lock = NSLock()
    private let recoveryKey: String?
    private let progressSent: Broadcast<DownloadProgress>
    private let statesSent: Broadcast<KeyBackupState>
    private let arrivalsSent = Broadcast<[ArrivedRoomKeys]>(bufferLimit: 64, repeatsLatest: false)
    private let conflictsSent = Broadcast<ConflictNotice>(bufferLimit: 64, repeatsLatest: true)
    private var script: [FakeRun]
    private var failures: [any Error] = []
    private var content = Content()

    /// What tests set and read.
    private struct Content {
        var keys: [RoomKey] = []
        var causes: Set<PauseCause> = []
        var calls: [String] = []
        var policy = DownloadPolicy()
        var state = KeyBackupState(.idle, .fake())
        var isStopped = false
        var isUnlocked = false
        var isClosed = false
    }

    /// Makes a backup.
    ///
    /// - Parameters:
    ///   - runs: What the runs do, one after the other; the last one is repeated. A run that finds a pause cause, or
    ///     meets one on its way, ends as paused, and the next run does the same one again.
    ///   - recoveryKey: The recovery key that ``unlock(with:)`` takes; any other one is wrong. `nil`: every secret is
    ///     right.
    public init(_ runs: FakeRun..., recoveryKey: String? = nil) {
        script = runs.isEmpty ? [FakeRun()] : runs
        self.recoveryKey = recoveryKey
        progressSent = Broadcast(bufferLimit: 1, latest: .fake())
        statesSent = Broadcast(bufferLimit: 1, latest: KeyBackupState(.idle, .fake()))
    }

    // MARK: For the test

    /// The keys that look-ups find.
    public var keys: [RoomKey] {
        get { lock.withLock { content.keys } }
        set { lock.withLock { content.keys = newValue } }
    }

    /// The causes that hold the download now.
    public var causes: Set<PauseCause> { lock.withLock { content.causes } }

    /// The calls that were made, by the names of the functions.
    public var calls: [String] { lock.withLock { content.calls } }

    /// The policy that was set last.
    public var policy: DownloadPolicy { lock.withLock { content.policy } }

    /// Whether ``close()`` has been called.
    public var isClosed: Bool { lock.withLock { content.isClosed } }

    /// Makes the next call that can fail throw this, and the call after it what is passed next.
    public func failNext(_ failure: any Error) {
        lock.withLock { failures.append(failure) }
    }

    /// Sends names of keys to all listeners of ``arrivals``.
    public func send(arrived: [ArrivedRoomKeys]) {
        arrivalsSent.send(arrived)
    }

    /// Sends a notice to all listeners of ``conflictNotices``.
    public func send(_ notice: ConflictNotice) {
        conflictsSent.send(notice)
    }

    // MARK: KeyBackupProtocol

    public var state: KeyBackupState { lock.withLock { content.state } }
    public var progress: DownloadProgress { state.progress }
    public var stateUpdates: AsyncStream<KeyBackupState> { statesSent.stream() }
    public var progressUpdates: AsyncStream<DownloadProgress> { progressSent.stream() }
    public var arrivals: AsyncStream<[ArrivedRoomKeys]> { arrivalsSent.stream() }
    public var conflictNotices: AsyncStream<ConflictNotice> { conflictsSent.stream() }

    @discardableResult
    public func unlock(with secret: UnlockSecret) async throws -> UnlockedBackup {
        try called("unlock")
        if isClosed { throw UnlockError.access(error: .shutDown) }
        if let recoveryKey, secret != .recoveryKey(text: recoveryKey) { throw UnlockError.wrongKey }
        lock.withLock { content.isUnlocked = true }
        return UnlockedBackup(
            version: Self.version, total: progress.total, versions: [Self.version], restartNeedsRecoveryKey: false)
    }

    public func run(budget: Duration?) async -> RunReport {
        note("run")
        let run = lock.withLock { script[0] }
        for progress in run.progress {
            if held != nil || Task.isCancelled { break }
            show(.working, progress)
            try? await Task.sleep(for: run.stepTime)
        }
        let outcome = held ?? (Task.isCancelled ? .paused(causes: [.timeExpiring]) : ended(run))
        let isWhole = if case .completed(_, acceptedShortfall: 0) = outcome { true } else { false }
        show(.init(after: outcome, everyKeyIsHere: isWhole), progress.resting)
        return RunReport(
            outcome: outcome,
            summary: summary,
            bytesDownloaded: 0,
            decrypted: progress.opened,
            everyKeyIsHere: isWhole,
            wakeUp: nil
        )
    }

    @discardableResult
    public func runInBackground(budget: Duration?) async -> RunReport {
        await run(budget: budget)
    }

    public func startNow() {
        note("startNow")
        Task { await run(budget: nil) }
    }

    public func status() async throws -> DownloadStatus {
        try called("status")
        let (now, progress) = (lock.withLock { content }, progress)
        return DownloadStatus(
            stage: progress.stage,
            fetchComplete: progress.total > 0 && progress.fetched == progress.total,
            unlocked: now.isUnlocked,
            restartNeedsRecoveryKey: false,
            causes: Array(now.causes),
            stopped: now.isStopped,
            running: nil,
            versions: [],
            summary: summary
        )
    }

    public func pause(_ cause: PauseCause) async throws {
        try called("pause")
        lock.withLock { _ = content.causes.insert(cause) }
        show(.paused(causes: causes), progress)
    }

    public func resume(_ cause: PauseCause) async throws {
        try called("resume")
        lock.withLock { _ = content.causes.remove(cause) }
        show(causes.isEmpty ? .idle : .paused(causes: causes), progress)
    }

    public func stop() async throws {
        try called("stop")
        lock.withLock { content.isStopped = true }
        show(.stopped, progress)
    }

    public func start() async throws {
        try called("start")
        lock.withLock {
            content.isStopped = false
            content.causes.remove(.user)
        }
        show(causes.isEmpty ? .idle : .paused(causes: causes), progress)
    }

    public func awaitQuiescent() async {
        for await now in stateUpdates where now.activity != .working { return }
    }

    public func setPolicy(_ policy: DownloadPolicy) {
        lock.withLock { content.policy = policy }
    }

    public func fetchSession(
        _ sessionID: String,
        in roomID: String,
        betterThan: UInt32?
    ) async throws -> RoomKeyLookup {
        try await roomKey(session: sessionID, in: roomID)
    }

    @discardableResult
    public func fetchRoom(_ roomID: String) async throws -> RoomFetch {
        try called("fetchRoom")
        return RoomFetch(newKeys: 0, askedServer: true)
    }

    @discardableResult
    public func refresh() async throws -> ServerNews {
        try called("refresh")
        return .nothingNew
    }

    public func prioritiseRooms(_ roomIDs: [String]) async throws { try called("prioritiseRooms") }

    public func roomKey(session sessionID: String, in roomID: String) async throws -> RoomKeyLookup {
        try called("roomKey")
        let found = keys.first { $0.roomId == roomID && $0.sessionId == sessionID }
        return found.map { .found(key: $0, otherRooms: []) } ?? .notFound
    }

    public func roomKeys(in roomID: String) -> AsyncThrowingStream<RoomKey, any Error> {
        stream(of: keys.filter { $0.roomId == roomID })
    }

    public func arrived(since cursor: ArrivalCursor) -> AsyncThrowingStream<ArrivedPage, any Error> {
        let keys = keys
        let names = keys.dropFirst(Int(cursor.entry)).map {
            ArrivedRoomKeys(roomId: $0.roomId, sessionIds: [$0.sessionId])
        }
        if names.isEmpty { return stream(of: []) }
        let next = ArrivalCursor(batch: 0, entry: Int64(keys.count))
        return stream(of: [ArrivedPage(arrived: names, next: next, more: false)])
    }

    public func failures(for reason: FailureReason) -> AsyncThrowingStream<EntryRef, any Error> { stream(of: []) }

    public func conflicts() -> AsyncThrowingStream<KeyConflict, any Error> { stream(of: []) }

    public func refusals() -> AsyncThrowingStream<RefusedEntry, any Error> { stream(of: []) }

    public func prove(session sessionID: String, in roomID: String, by event: String) async throws -> KeyProof {
        try called("prove")
        return .notFound
    }

    public func roomHistoryShareability(of roomID: String) async throws -> RoomHistoryShareability {
        try called("roomHistoryShareability")
        let inRoom = keys.filter { $0.roomId == roomID }
        let shareable = UInt64(inRoom.filter(\.sharedHistory).count)
        return RoomHistoryShareability(
            shareable: shareable,
            notShareable: UInt64(inRoom.count) - shareable,
            unopened: 0,
            notFetchedAtMost: 0
        )
    }

    public func closeLookups() async { note("closeLookups") }

    @discardableResult
    public func exportRoomKeys(to file: URL, passphrase: String) async throws -> ExportSummary {
        try called("exportRoomKeys")
        let text = "-----BEGIN MEGOLM SESSION DATA-----\n-----END MEGOLM SESSION DATA-----\n"
        try Data(text.utf8).write(to: file)
        return ExportSummary(exported: UInt64(keys.count), failed: 0, conflicts: 0, locked: 0)
    }

    public func include(version: String) async throws { try called("include") }

    public func acceptShortfall(of version: String, publicKey: String, most: UInt64) async throws -> Bool {
        try called("acceptShortfall")
        return version == Self.version
    }

    public func giveUp(version: String) async throws -> Bool {
        try called("giveUp")
        return version == Self.version
    }

    public func cryptoStoreWasReplaced() async throws { try called("cryptoStoreWasReplaced") }

    public func close() {
        lock.withLock { content.isClosed = true }
        progressSent.finish()
        statesSent.finish()
        arrivalsSent.finish()
        conflictsSent.finish()
        preference.finish()
        reset.finish()
    }

    // MARK: The script

    /// How a run ends that may do nothing; `nil` if it may work.
    var held: RunOutcome? {
        lock.withLock {
            if content.isClosed { return .paused(causes: []) }
            if content.isStopped { return .stopped }
            return content.causes.isEmpty ? nil : .paused(causes: Array(content.causes))
        }
    }

    private func ended(_ run: FakeRun) -> RunOutcome {
        lock.withLock {
            if script.count > 1 { script.removeFirst() }
            return run.outcome
        }
    }

    private func show(_ activity: KeyBackupState.Activity, _ progress: DownloadProgress) {
        lock.withLock {
            content.state = KeyBackupState(activity, progress)
            progressSent.send(progress)
            statesSent.send(content.state)
        }
    }

    func note(_ call: String) {
        lock.withLock { content.calls.append(call) }
    }

    func called(_ call: String) throws {
        note(call)
        let failure = lock.withLock { failures.isEmpty ? nil : failures.removeFirst() }
        if let failure { throw failure }
    }

    private func stream<Element: Sendable>(of elements: [Element]) -> AsyncThrowingStream<Element, any Error> {
        AsyncThrowingStream { continuation in
            elements.forEach { continuation.yield($0) }
            continuation.finish()
        }
    }

    private var summary: DownloadSummary {
        let progress = progress
        return DownloadSummary(
            version: Self.version,
            total: progress.total,
            fetched: progress.fetched,
            opened: progress.opened,
            delivered: progress.delivered,
            failed: progress.failed,
            refused: progress.refused,
            conflicts: progress.conflicts,
            locked: progress.locked,
            rooms: progress.rooms,
            bytesDownloaded: progress.bytesDownloaded
        )
    }
}

extension DownloadProgress {
    /// The same figures, with no run under way.
    fileprivate var resting: DownloadProgress {
        .fake(.resting, total: total, fetched: fetched, delivered: delivered)
    }
}
