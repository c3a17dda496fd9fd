import Foundation
import XCTest

// README begin
import Keyferry

/// The room keys of the account that is signed in. Its `KeyBackup` is opened once in a process, when it is first wanted, and
/// kept: between runs it holds nothing. It is closed when the account signs out.
actor RoomKeys {
    private let session: AppSession
    private var opening: Task<KeyBackup, any Error>?

    init(of session: AppSession) { self.session = session }

    func backup() async throws -> KeyBackup {
        let opening = opening ?? Task { [session] in
            try await KeyBackup.open(
                account: Account(homeserverUrl: session.homeserver, userId: session.userID, deviceId: session.deviceID),
                directory: session.directory,
                protection: .key(key: session.vaultKey), // 32 random bytes that the app keeps in the Keychain
                sink: ClosureSink { keys in try await session.crypto.importKeys(keys) },
                roomsByPriority: { await session.roomsOnScreenFirst() }
            ) { _ in try await session.accessToken() }
        }
        self.opening = opening
        do { return try await opening.value } catch {
            if self.opening == opening { self.opening = nil } // the next call tries again
            throw error
        }
    }

    /// Gets every room key of the backup onto the device. Call it whenever there is time; in a `BGTask`, `KeyBackup.run(in:)`.
    func download(recoveryKey: String?) async throws {
        let backup = try await backup()
        let progress = backup.progress
        let display = Task { [session] in for await now in progress { await session.show(now.delivered, of: now.total) } }
        defer { display.cancel() }

        if let recoveryKey { try await backup.unlock(with: .recoveryKey(text: recoveryKey)) }

        let report = await backup.run(budget: 25) // cancelling this task pauses the run
        switch report.outcome {
        case .completed: session.backupIsHere(everyKey: report.everyKeyIsHere)
        case .needsUnlock: session.askForRecoveryKey()
        case .failed(let reason): session.tell(reason)
        default: session.scheduleAnotherRun() // it goes on where it ended
        }
    }

    func signOut() async {
        try? await opening?.value.close()
        opening = nil
    }
}
// README end

/// Stands in for the parts of an app that the lines above use, so that they compile and run.
final class AppSession: @unchecked Sendable {
    let homeserver: String
    let userID: String
    let deviceID: String
    let directory: URL
    let vaultKey = Data(repeating: 7, count: 32)
    let crypto = AppCrypto()
    private let token: String
    private(set) var timesComplete = 0

    init(_ homeserver: TestHomeserver, directory: URL) {
        self.homeserver = homeserver.details.homeserverUrl
        userID = homeserver.details.userId
        deviceID = homeserver.details.deviceId
        token = homeserver.details.accessToken
        self.directory = directory
    }

    func accessToken() async throws -> String { token }
    func roomsOnScreenFirst() async -> [String] { [] }
    func show(_ done: UInt64, of total: UInt64) async {}
    func backupIsHere(everyKey: Bool) { timesComplete += 1 }
    func askForRecoveryKey() {}
    func tell(_ reason: RunFailure) {}
    func scheduleAnotherRun() {}
}

/// The app's crypto.
actor AppCrypto {
    private(set) var count = 0

    func importKeys(_ keys: [RoomKey]) throws -> [SinkAnswer] {
        count += keys.count
        return keys.map { _ in .imported }
    }
}

final class ReadmeTests: BackupTestCase {
    func testTheReadmeSnippetDownloadsEveryKey() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let session = AppSession(homeserver, directory: try newDirectory())
        let roomKeys = RoomKeys(of: session)
        let recoveryKey = homeserver.details.recoveryKey

        try await notHanging { try await roomKeys.download(recoveryKey: recoveryKey) }
        try await notHanging { try await roomKeys.download(recoveryKey: nil) }

        XCTAssertEqual(session.timesComplete, 2)
        let count = await session.crypto.count
        XCTAssertEqual(count, 100)
        await roomKeys.signOut()
    }

    func testTheReadmeSnippetKeepsOneBackupUntilTheAccountSignsOut() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let roomKeys = RoomKeys(of: AppSession(homeserver, directory: try newDirectory()))
        let callers = (0..<8).map { _ in Task { try await roomKeys.backup() } }
        let backup = try await roomKeys.backup()
        for caller in callers {
            let same = try await caller.value
            XCTAssertTrue(same === backup, "there is a second backup")
        }
        _ = try await notHanging { try await roomKeys.download(recoveryKey: nil) }
        _ = try await backup.status()

        await roomKeys.signOut()

        await assertThrows(StatusError.ShutDown) { _ = try await backup.status() }
    }

    func testTheReadmeSnippetRetriesABackupThatDidNotOpen() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let directory = try newDirectory()
        let place = directory.appendingPathComponent("vault")
        try Data().write(to: place)
        let roomKeys = RoomKeys(of: AppSession(homeserver, directory: place))
        await assertThrows(OpenError.UnusableDataDir) { _ = try await roomKeys.backup() }
        try FileManager.default.removeItem(at: place)
        _ = try await roomKeys.backup()
        await roomKeys.signOut()
    }
}
