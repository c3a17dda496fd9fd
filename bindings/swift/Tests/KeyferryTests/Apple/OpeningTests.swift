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
        await assertThrows(StatusError.shutDown) { _ = try await backup.status() }
        try await KeyBackup.forget(userID)
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
