#if canImport(AppleFoundation)
import AppleFoundation
import Security
import XCTest

@testable import Keyferry

/// Tests what `KeyBackup.open` does by itself.
final class OpeningTests: ApplePhone {
    func testAnAccountIsAllThatIsNeeded() async throws {
        let homeserver = try newHomeserver()
        let userID = homeserver.details.userId
        let backup = try await unlocked(homeserver)
        let report = try await notHanging { await backup.run() }
        XCTAssertTrue(report.everyKeyIsHere)

        let directory = try KeyBackup.directory(for: userID)
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        XCTAssertFalse(files.isEmpty)
        let item = Keychain.items.first { $0[kSecAttrAccount] as? String == "keyferry \(userID)" }
        XCTAssertEqual((item?[kSecValueData] as? Data)?.count, 32)
        XCTAssertEqual(
            item?[kSecAttrAccessible] as? String, kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly)

        let same = try await openByDefault(homeserver)
        XCTAssertTrue(same === backup, "one for each account in a process")
        backup.close()
        let next = try await openByDefault(homeserver)
        XCTAssertFalse(next === backup)
        let status = try await next.status()
        XCTAssertTrue(status.fetchComplete && status.unlocked, "the vault and its key are kept")
    }

    func testCallsThatComeTogetherGetTheSameBackup() async throws {
        let homeserver = try newHomeserver(keys: 1)
        let open = opening(homeserver)
        let callers = (0..<8).map { _ in Task { try await open() } }
        let backup = try await openByDefault(homeserver)
        for caller in callers {
            let same = try await caller.value
            XCTAssertTrue(same === backup)
        }
    }

    func testABackupThatDoesNotOpenIsTriedAgain() async throws {
        let homeserver = try newHomeserver(keys: 1)
        Keychain.failure = errSecInteractionNotAllowed
        await assertThrows(OpenError.keyringUnavailable(keyLost: false)) { _ = try await self.openByDefault(homeserver) }
        Keychain.failure = nil
        _ = try await openByDefault(homeserver)
    }

    func testALostKeyIsToldAndTheVaultCanBeSetAside() async throws {
        let homeserver = try newHomeserver()
        let userID = homeserver.details.userId
        let backup = try await unlocked(homeserver)
        _ = try await notHanging { await backup.run() }
        backup.close()
        await backup.awaitQuiescent()
        try KeychainKeyring().delete(name: "keyferry \(userID)")

        await assertThrows(OpenError.keyringUnavailable(keyLost: true)) { _ = try await self.openByDefault(homeserver) }
        let aside = try await KeyBackup.setVaultAside(in: KeyBackup.directory(for: userID))
        XCTAssertNotNil(aside)
        let next = try await unlocked(homeserver)
        let report = try await notHanging { await next.run() }
        XCTAssertTrue(report.everyKeyIsHere)
    }

    func testAForgottenAccountLeavesNothing() async throws {
        let homeserver = try newHomeserver()
        let userID = homeserver.details.userId
        KeyBackup.registerBackgroundTasks(identifiers: identifiers) { [] }
        let backup = try await unlocked(homeserver)
        try await eventually("a wake-up is requested") { self.scheduler.pending.isEmpty == false }

        try await KeyBackup.forget(userID)

        XCTAssertFalse(FileManager.default.fileExists(atPath: try KeyBackup.directory(for: userID).path))
        XCTAssertFalse(Keychain.items.contains { $0[kSecAttrAccount] as? String == "keyferry \(userID)" })
        XCTAssertTrue(scheduler.pending.isEmpty)
        await assertThrows(AccessError.shutDown) { _ = try await backup.status() }
        try await KeyBackup.forget(userID)
    }

    func testWhatIsNoUserIdDeletesNothing() async throws {
        let homeserver = try newHomeserver()
        let backup = try await openByDefault(homeserver)
        for name in ["", "..", ".", "alice", "@alice", "/", "@"] {
            await assertThrows(OpenError.invalidAccount) { try await KeyBackup.forget(name) }
            await assertThrows(OpenError.invalidAccount) { _ = try KeyBackup.directory(for: name) }
        }
        _ = try await backup.status()
        let directory = try KeyBackup.directory(for: "@a/../b:c")
        XCTAssertEqual(directory.deletingLastPathComponent().lastPathComponent, "vaults")
    }

    func testAnAccountThatIsForgottenWhileTheKeychainIsLockedLosesItsVault() async throws {
        let homeserver = try newHomeserver()
        let userID = homeserver.details.userId
        _ = try await openByDefault(homeserver)
        Keychain.failure = errSecInteractionNotAllowed
        await assertThrows(OpenError.keyringUnavailable(keyLost: false)) { try await KeyBackup.forget(userID) }
        XCTAssertFalse(FileManager.default.fileExists(atPath: try KeyBackup.directory(for: userID).path))
    }

    func testABackupThatDoesNotOpenLeavesNoDirectory() async throws {
        let account = KeyBackupAccount(homeserverUrl: "nonsense", userId: "@nobody:example.org", deviceId: "A")
        await assertThrows(OpenError.invalidHomeserverUrl) { _ = try await KeyBackup.open(account: account) { _ in "" } }
        XCTAssertFalse(FileManager.default.fileExists(atPath: try KeyBackup.directory(for: account.userId).path))
    }

    func testANewSessionOfTheUserTakesThePlaceOfTheOldOne() async throws {
        let homeserver = try newHomeserver()
        let backup = try await openByDefault(homeserver)
        let (known, token) = (homeserver.account, homeserver.details.accessToken)
        let account = KeyBackupAccount(homeserverUrl: known.homeserverUrl, userId: known.userId, deviceId: "OTHER")
        let next = try await KeyBackup.open(account: account) { _ in token }
        XCTAssertFalse(next === backup)
        await assertThrows(AccessError.shutDown) { _ = try await backup.status() }
        let same = try await KeyBackup.open(account: account) { _ in token }
        XCTAssertTrue(same === next)
    }

    func testAnAccountCanBeOpenedWhileItIsForgotten() async throws {
        let homeserver = try newHomeserver()
        let userID = homeserver.details.userId
        let place = try KeyBackup.directory(for: userID)
        let open = opening(homeserver)
        for _ in 0..<20 {
            _ = try await open()
            let forgetting = Task { try await KeyBackup.forget(userID) }
            let reopening = Task { try await open() }
            try await forgetting.value
            let backup = try await reopening.value
            // Either of the two came first. What was opened after the other is whole.
            let again = try await open()
            _ = try await again.status()
            if again === backup { XCTAssertTrue(FileManager.default.fileExists(atPath: place.path)) }
        }
    }

    func testAnAccountIsForgottenAlsoByATaskThatIsCancelled() async throws {
        let homeserver = try newHomeserver()
        let userID = homeserver.details.userId
        let backup = try await openByDefault(homeserver)
        let forgetting = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await KeyBackup.forget(userID)
        }
        try await forgetting.value
        XCTAssertFalse(FileManager.default.fileExists(atPath: try KeyBackup.directory(for: userID).path))
        await assertThrows(AccessError.shutDown) { _ = try await backup.status() }
    }

    func testAKeyringKeepsReplacesAndDeletes() throws {
        let keyring = KeychainKeyring(service: "test", accessGroup: "group")
        XCTAssertNil(try keyring.load(name: "a"))
        try keyring.store(name: "a", secret: Data([1]))
        try keyring.store(name: "a", secret: Data([2]))
        XCTAssertEqual(try keyring.load(name: "a"), Data([2]))
        XCTAssertNil(try KeychainKeyring(service: "test", accessGroup: "other").load(name: "a"))
        Keychain.failure = errSecInteractionNotAllowed
        XCTAssertThrowsError(try keyring.load(name: "a"), "not the same as an item that is not there")
        XCTAssertThrowsError(try keyring.store(name: "a", secret: Data([3])))
        XCTAssertThrowsError(try keyring.delete(name: "a"))
        Keychain.failure = nil
        try keyring.delete(name: "a")
        try keyring.delete(name: "a")
        XCTAssertNil(try keyring.load(name: "a"))
    }
}
#endif
