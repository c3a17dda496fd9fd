#if canImport(AppleFoundation)
import AppleFoundation
import BackgroundTasks
import Network
import Security
import UIKit
import XCTest

@testable import Keyferry

/// A test case that plays the phone of an app. On Linux only: it sets and reads what the stub modules stand for.
class ApplePhone: BackupTestCase {
    private var users: [String] = []
    let identifiers = BackgroundTaskIdentifiers(
        processing: "org.example.processing", appRefresh: "org.example.refresh", continued: "org.example.download")
    var scheduler: BGTaskScheduler { .shared }

    override func setUp() async throws {
        try? FileManager.default.removeItem(at: BackgroundScheduler.file())
        scheduler.cancelAllTaskRequests()
        scheduler.permitted = nil
        scheduler.refusal = nil
        scheduler.ignoresContinued = false
        ContinuedDownloads.shared.patience = .seconds(5)
        await MainActor.run { UIApplication.shared.applicationState = .active }
        Keychain.failure = nil
        Hardware.isLowPowerModeEnabled = false
        Hardware.thermalState = .nominal
    }

    override func tearDown() async throws {
        scheduler.refusal = nil
        Keychain.failure = nil
        for user in users { try? await KeyBackup.forget(user) }
    }

    /// Starts a homeserver with an account of its own, whose vault is deleted after the test.
    func newHomeserver(keys: Int = 300, _ more: String...) throws -> TestHomeserver {
        let name = "alice-" + UUID().uuidString.lowercased()
        let homeserver = try TestHomeserver(keys: keys, rooms: 3, arguments: ["--user", name] + more)
        users.append(homeserver.details.userId)
        return homeserver
    }

    /// Starts a homeserver that is kept until the end of the test.
    func newKeptHomeserver(keys: Int = 300) throws -> TestHomeserver {
        let homeserver = try newHomeserver(keys: keys)
        addTeardownBlock { homeserver.stop() }
        return homeserver
    }

    /// Opens the backup as an app does.
    func openByDefault(_ homeserver: TestHomeserver, sink: (any RoomKeySink)? = nil) async throws -> KeyBackup {
        try await opening(homeserver, sink: sink)()
    }

    /// Returns what an app calls wherever it needs the backup.
    func opening(
        _ homeserver: TestHomeserver,
        sink: (any RoomKeySink)? = nil
    ) -> @Sendable () async throws -> KeyBackup {
        let (account, token) = (homeserver.account, homeserver.details.accessToken)
        return { try await KeyBackup.open(account: account, sink: sink) { _ in token } }
    }

    /// Opens the backup and unlocks it, which asks for a wake-up.
    func unlocked(_ homeserver: TestHomeserver, sink: (any RoomKeySink)? = nil) async throws -> KeyBackup {
        let backup = try await openByDefault(homeserver, sink: sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        return backup
    }

    /// Waits until the condition holds.
    func eventually(
        _ what: String,
        file: StaticString = #filePath,
        line: UInt = #line,
        _ condition: () async throws -> Bool
    ) async throws {
        for _ in 0..<2_000 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        XCTFail("waited in vain: \(what)", file: file, line: line)
        throw Hangs()
    }
}
#endif
