import Foundation

/// The key backup of one signed-in account. ``KeyBackup`` is the implementation. An app that holds one as this protocol
/// can pass a `FakeKeyBackup` (product `KeyferryTesting`) in its own tests and previews.
///
/// Every failure has a type of error, whose cases say what happened. Its `localizedDescription` is a text for users, in
/// English and German; printed, it is a sentence for logs. Neither has the data that the error holds, except for the reason
/// of a refusal by the app's crypto, which is printed.
///
/// What changes the backup on the server is in ``KeyBackupResetProtocol`` and ``KeyBackupUploadProtocol``.
public protocol KeyBackupProtocol: KeyBackupResetProtocol, KeyBackupUploadProtocol {
    /// What ``preference`` is.
    associatedtype Preference: BackupPreferenceProtocol

    /// How far the download is: at first what the vault holds, then the figures of a run under way.
    var progress: DownloadProgress { get }

    /// ``progress`` and its changes, at most ten times a second and at every change of stage. The current value comes at
    /// once, and a slow listener gets the newest value. Each access returns a separate stream, which ends with ``close()``.
    var progressUpdates: AsyncStream<DownloadProgress> { get }

    /// What a screen shows: ``progress``, and what the download waits for. At first what the vault says.
    var state: KeyBackupState { get }

    /// ``state`` and its changes. The current value comes at once, and a slow listener gets the newest value. Each access
    /// returns a separate stream, which ends with ``close()``.
    var stateUpdates: AsyncStream<KeyBackupState> { get }

    /// Keys that can be looked up now, and that the sink has taken if there is one: retry the messages on screen. This is
    /// a hint, of which a slow listener misses some; ``arrived(since:)`` is exact. Each access returns a separate stream,
    /// which ends with ``close()``.
    var arrivals: AsyncStream<[ArrivedRoomKeys]> { get }

    /// Reports that copies of keys are held back for a cause that is new in their backup version: someone may be
    /// tampering with the backup. Sent at least once for each version and cause; ``conflicts()`` lists the copies. Each
    /// access returns a separate stream, which begins with the latest notice and ends with ``close()``.
    var conflictNotices: AsyncStream<ConflictNotice> { get }

    /// The user's preference on whether room keys are backed up, which all their clients share (MSC4287).
    var preference: Preference { get }

    // MARK: The download

    /// Finds the decryption key of the backup by what the user typed or the app has, and keeps it for every version that
    /// it opens. A restart needs no unlock then, unless the vault has no protection. May be called at any time, also
    /// during a run, which then opens what it has fetched. A wrong key never replaces a good one.
    ///
    /// A decryption key, or a recovery key that is one, needs no network if the vault knows its version. A key or
    /// passphrase of secret storage is looked up on the server, and a passphrase takes a second or more of key derivation
    /// on a phone.
    ///
    /// - Returns: The versions that the key opens.
    /// - Throws: An ``UnlockError`` if the secret is mistyped or opens no known version, or if the server or the vault
    ///   cannot be reached.
    @discardableResult
    func unlock(with secret: UnlockSecret) async throws -> UnlockedBackup

    /// Fetches, opens and delivers keys until everything is done, the budget is used up, or something is in the way.
    /// Call it whenever there is an opportunity: it continues where the last run ended. In the background, where
    /// `inBackground` holds, it returns at once: call ``runInBackground(budget:)`` there.
    ///
    /// Only one run works on a vault at a time, across all clients and processes; further ones return `alreadyRunning` at
    /// once.
    ///
    /// Cancelling the task ends the run as `paused` by `timeExpiring`; this returns when the run has ended, a fraction of
    /// a second later. It never ends the run of another caller.
    ///
    /// - Parameter budget: Time after which the run returns by itself, of use from 1 second on; `nil`: no limit.
    /// - Returns: How the run ended, and what the vault holds then.
    func run(budget: Duration?) async -> RunReport

    /// Starts or continues the download because the user wants it now. Returns at once: ``state`` shows how it goes. Call
    /// it while the app is on screen.
    ///
    /// From iOS 26 on, after ``KeyBackup/registerBackgroundTasks(identifiers:backups:)``, iOS shows the progress, and the
    /// download continues when the user leaves the app. Before that, and where iOS does not take it, this is a run: it
    /// pauses when the user leaves, and a wake-up is requested.
    func startNow()

    /// Does one run in time that the OS grants while the app is in the background: for the events of a background
    /// `URLSession`, after a silent push, in the task modifiers of SwiftUI, and after `beginBackgroundTask`. Tasks of
    /// BGTaskScheduler are better left to ``KeyBackup/registerBackgroundTasks(identifiers:backups:)``.
    ///
    /// If another call of this process has a run under way, this waits for its end, and then does one of its own.
    ///
    /// The cause `inBackground` does not hold during this call, even if the app leaves the screen meanwhile. When it
    /// returns and the app is in the background, the run has ended, look-ups are closed, and `inBackground` holds again:
    /// the OS may suspend the app then. Cancelling the task ends the run within a fraction of a second.
    ///
    /// - Parameter budget: Time after which the run returns by itself, less than the OS grants, which is about 30 seconds
    ///   for the events of a session. `nil`: the run ends when it is done or the task is cancelled.
    /// - Returns: How the run ended, and what the vault holds then.
    @discardableResult
    func runInBackground(budget: Duration?) async -> RunReport

    /// Returns what the vault holds. Uses no network, and may be called during a run.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func status() async throws -> DownloadStatus

    /// Holds the download for a cause until ``resume(_:)`` is called with it. Several causes can hold at once;
    /// `docs/background-execution.md` has a table of the work that each one stops. Returns when that work has stopped, in
    /// a fraction of a second. Only the user's pause is kept over restarts.
    ///
    /// - Throws: An ``AccessError`` if the user's pause cannot be kept over a restart; it holds until then nevertheless.
    func pause(_ cause: PauseCause) async throws

    /// Ends a ``pause(_:)`` for a cause. If no other cause holds the download, a run under way continues, or a wake-up is
    /// requested: also for a reset under way, and for an upload that was held since the backup was opened.
    ///
    /// - Throws: An ``AccessError`` if the end of the user's pause cannot be written to the vault.
    func resume(_ cause: PauseCause) async throws

    /// Gives the download up until ``start()``, also over restarts, and with it resets and uploads: a run under way ends,
    /// the vault keeps what it has, and no wake-up is requested. Returns when the run has ended.
    ///
    /// - Throws: An ``AccessError`` if the stop cannot be kept over a restart; it holds until then nevertheless.
    func stop() async throws

    /// Ends a ``stop()``, or a pause by the user, and requests a wake-up, as ``resume(_:)`` does.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be written.
    func start() async throws

    /// Waits until no run and no request of the download is at work and none of them holds a database, lock, connection
    /// or thread. Ends nothing itself.
    func awaitQuiescent() async

    /// Moves these rooms to the front, the first one first: they are fetched, opened and delivered before all others, at
    /// once during a run, otherwise in the next run. Only the first 1,000 of a call count.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be written; a run under way follows nevertheless.
    func prioritiseRooms(_ roomIDs: [String]) async throws

    /// Changes what the download may use. A run under way follows at once. Values out of bounds are brought within them.
    ///
    /// `meteredBytes` holds no run before the cause `meteredNetwork` is reported, as ``PhoneConditions`` does. Until then
    /// it only makes wake-ups ask for an unmetered network.
    func setPolicy(_ policy: DownloadPolicy)

    // MARK: One key, one room

    /// Gets the key of a message that cannot be decrypted right now: from the vault, or else from the server. Costs one
    /// request, or two or three if the server does not have the key. `notFound` is remembered for ten minutes, or until
    /// the backup changes. Many calls may be made at once, also during a run; a key that several calls want is requested
    /// once, and the request ends when the tasks of all of them are cancelled.
    ///
    /// ```swift
    /// if case .found(let key, _) = try await backup.fetchSession(sessionID, in: roomID) { decryptAgain(key) }
    /// ```
    ///
    /// - Parameters:
    ///   - sessionID: The session that the message was encrypted with.
    ///   - roomID: The room that the message is in.
    ///   - betterThan: The first index of the app's copy of the key, for a message from before that index: a key that
    ///     begins no earlier counts as `notFound`. `nil` if the app has no copy.
    /// - Throws: An ``AccessError`` if the key could not be looked for: `locked` until the backup is unlocked, `onHold`
    ///   while a ``pause(_:)`` stops requests, `unreachable` and others for failures of the server or the vault. A
    ///   `CancellationError` if the task is cancelled.
    func fetchSession(_ sessionID: String, in roomID: String, betterThan: UInt32?) async throws -> RoomKeyLookup

    /// Fetches all keys of a room that are not in the vault. They can be looked up when this returns; the sink gets them in
    /// a run.
    ///
    /// - Returns: How many keys are new, and whether the server was asked.
    /// - Throws: An ``AccessError`` if not all of them could be fetched, and a `CancellationError` if the task is
    ///   cancelled; every entry that arrived before is kept.
    @discardableResult
    func fetchRoom(_ roomID: String) async throws -> RoomFetch

    /// Asks the server, by one small request, whether it has anything new. If it has, a wake-up is requested.
    ///
    /// - Throws: An ``AccessError`` if the server could not be asked, and a `CancellationError` if the task is cancelled.
    @discardableResult
    func refresh() async throws -> ServerNews

    // MARK: What the vault has

    /// Looks a key up in the vault, without network. Costs about one decryption; the first call after opening or
    /// ``closeLookups()`` costs a little more. ``fetchSession(_:in:betterThan:)`` also asks the server.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read; `locked` if the entry is there and its version is not
    ///   unlocked.
    func roomKey(session sessionID: String, in roomID: String) async throws -> RoomKeyLookup

    /// Returns the keys of a room, each once. They are read from the vault as they are asked for, 100 at a time. Keys that
    /// cannot be opened are left out.
    ///
    /// ```swift
    /// for try await key in backup.roomKeys(in: roomID) { show(key.sessionId) }
    /// ```
    ///
    /// The stream ends with an ``AccessError`` if the vault cannot be read or the backup is not unlocked.
    func roomKeys(in roomID: String) -> AsyncThrowingStream<RoomKey, any Error>

    /// Returns the keys that arrived after a cursor and up to now, in the order of arrival, in pages of at most 2,000. No
    /// key is left out, and none comes twice unless the backup has got a better copy of it. Keep `next` of the last page
    /// that was handled with the app's own state.
    ///
    /// The stream ends with an ``AccessError`` if the vault cannot be read.
    func arrived(since cursor: ArrivalCursor) -> AsyncThrowingStream<ArrivedPage, any Error>

    /// Returns the entries that failed for a reason. The stream ends with an ``AccessError`` if the vault cannot be read.
    func failures(for reason: FailureReason) -> AsyncThrowingStream<EntryRef, any Error>

    /// Returns the copies of keys that are held back, each with the copy that counts in its place. The server, or someone
    /// who can write to the backup, may be moving or forging keys: see ``prove(session:in:by:)``.
    ///
    /// The stream ends with an ``AccessError`` if the vault cannot be read.
    func conflicts() -> AsyncThrowingStream<KeyConflict, any Error>

    /// Returns the keys that the sink refused, with its reasons. The stream ends with an ``AccessError`` if the vault cannot
    /// be read.
    func refusals() -> AsyncThrowingStream<RefusedEntry, any Error>

    /// Tries the vault's copies of a session on an encrypted event. A copy is proved genuine if it decrypts the event and
    /// the plaintext names the room; look-ups, the sink and exports then prefer it to all others. Call it if a session
    /// that ``conflicts()`` lists has failed to decrypt a message.
    ///
    /// - Parameters:
    ///   - sessionID: The session that the event was encrypted with.
    ///   - roomID: The room that the event is in.
    ///   - event: The JSON of the event, or of its content, as the server sent it; at most 256 KiB.
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func prove(session sessionID: String, in roomID: String, by event: String) async throws -> KeyProof

    /// Counts the keys of a room that may be shared with people who are invited later (MSC4268), those that may not, and
    /// those for which that is not known yet. Leaves out keys that can never be opened. Needs no network and no unlock.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be read.
    func roomHistoryShareability(of roomID: String) async throws -> RoomHistoryShareability

    /// Closes the database that look-ups keep open, and wipes the decryption keys that they hold in memory. Call it before
    /// the app is suspended; the next look-up opens it again.
    func closeLookups() async

    /// Writes every key of the vault to an encrypted key export file, as Element imports it (client-server API, "Key
    /// export format"). Deriving its key takes 500,000 rounds. Fetched entries that are not opened yet are opened for it.
    /// The file appears whole or not at all. One export at a time: another one waits. Cancelling the task cancels this
    /// export, also while it waits, and no other.
    ///
    /// - Returns: How many keys the file has, and how many were left out.
    /// - Throws: An ``ExportError`` if the passphrase is empty, the file cannot be written, the vault cannot be read, or
    ///   the task was cancelled (`cancelled`).
    @discardableResult
    func exportRoomKeys(to file: URL, passphrase: String) async throws -> ExportSummary

    // MARK: Versions

    /// Fetches the backup version with this number for as long as the server has it, whichever version is current. Use it
    /// for a number that the app knows from its own crypto store. Requests a wake-up. Does nothing for a text that cannot
    /// be a version (empty, `.`, `..`, or over 128 characters).
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be written.
    func include(version: String) async throws

    /// Accepts that the server does not return all the keys that it counts in a version. If at most `most` are missing,
    /// the outcome of a run is `completed` and says how many are.
    ///
    /// - Parameters:
    ///   - version: The number of the version.
    ///   - publicKey: The public key of the version, from ``VersionStatus``: version numbers can repeat.
    ///   - most: How many keys may be missing; 0 withdraws the acceptance.
    /// - Returns: False if the vault knows no such version with that public key.
    /// - Throws: An ``AccessError`` if the vault cannot be written.
    func acceptShortfall(of version: String, publicKey: String, most: UInt64) async throws -> Bool

    /// Gives up a version that the user cannot unlock: outcomes no longer name it. Its fetched entries stay in the vault,
    /// still encrypted, and a later unlock takes it up again.
    ///
    /// - Returns: False if the vault knows no version of that number.
    /// - Throws: An ``AccessError`` if the vault cannot be written.
    func giveUp(version: String) async throws -> Bool

    /// Notes that the app's crypto store has been replaced by an empty one: every key is delivered to the sink again. The
    /// vault keeps its keys; those that its policy has removed are fetched again.
    ///
    /// - Throws: An ``AccessError`` if the vault cannot be written.
    func cryptoStoreWasReplaced() async throws

    /// Ends everything, wipes keys from memory, discards file downloads of the account and releases the callbacks, for
    /// good. Call it when the account signs out, and before ``KeyBackup/setVaultAside(in:)``. It is not needed after a
    /// run, and would fail the calls of everyone else who uses this object. May be called more than once. The vault stays
    /// on disk.
    ///
    /// Later calls throw a `shutDown` error; an export throws `cancelled`, and a run returns `paused` without causes.
    func close()
}

extension KeyBackupProtocol {
    /// Does a run without a limit of time: see ``run(budget:)``.
    public func run() async -> RunReport { await run(budget: nil) }

    /// Does a run of at most 20 seconds in time that the OS grants: see ``runInBackground(budget:)``.
    @discardableResult
    public func runInBackground() async -> RunReport { await runInBackground(budget: .seconds(20)) }

    /// Pauses the download for the user, until ``resume()``: see ``pause(_:)``.
    public func pause() async throws { try await pause(.user) }

    /// Ends the user's ``pause()``: see ``resume(_:)``.
    public func resume() async throws { try await resume(.user) }

    /// Gets the key of a message that cannot be decrypted right now: see ``fetchSession(_:in:betterThan:)``.
    public func fetchSession(_ sessionID: String, in roomID: String) async throws -> RoomKeyLookup {
        try await fetchSession(sessionID, in: roomID, betterThan: nil)
    }

    /// Returns all keys that have arrived: see ``arrived(since:)``.
    public func arrived() -> AsyncThrowingStream<ArrivedPage, any Error> { arrived(since: ArrivalCursor()) }
}
