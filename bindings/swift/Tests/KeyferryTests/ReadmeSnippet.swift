import Foundation
import XCTest

// README begin
import Keyferry

/// Gets every room key of the backup onto the device. Call it from a `BGProcessingTask`, or whenever there is time.
func downloadRoomKeys(of session: AppSession, recoveryKey: String?) async throws {
    let backup = try await KeyBackup.open(
        account: Account(homeserverUrl: session.homeserver, userId: session.userID, deviceId: session.deviceID),
        directory: session.directory,
        protection: .key(key: session.vaultKey), // 32 random bytes that the app keeps in the Keychain
        sink: ClosureSink { keys in try await session.crypto.importKeys(keys) },
        roomsByPriority: { await session.roomsOnScreenFirst() }
    ) { _ in try await session.accessToken() }
    defer { backup.close() }

    let progress = backup.progress
    let display = Task { for await now in progress { await session.show(now.delivered, of: now.total) } }
    defer { display.cancel() }

    if let recoveryKey { try await backup.unlock(with: .recoveryKey(text: recoveryKey)) }

    switch await backup.run(budget: 25).outcome { // cancelling this task pauses the run
    case .completed: session.backupIsHere()
    case .needsUnlock: session.askForRecoveryKey()
    case .failed(let reason): session.tell(reason)
    default: session.scheduleAnotherRun() // it goes on where it ended
    }
}
// README end

/// What an app has anyway, for the lines above to compile and run.
final class AppSession: @unchecked Sendable {
    let homeserver: String
    let userID: String
    let deviceID: String
    let directory: URL
    let vaultKey = Data(repeating: 7, count: 32)
    let crypto = AppCrypto()
    private let token: String
    private(set) var isComplete = false

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
    func backupIsHere() { isComplete = true }
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
    func testTheLinesOfTheReadmeWork() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let session = AppSession(homeserver, directory: try newDirectory())
        let recoveryKey = homeserver.details.recoveryKey
        try await notHanging { try await downloadRoomKeys(of: session, recoveryKey: recoveryKey) }
        XCTAssertTrue(session.isComplete)
        let count = await session.crypto.count
        XCTAssertEqual(count, 100)
    }
}
