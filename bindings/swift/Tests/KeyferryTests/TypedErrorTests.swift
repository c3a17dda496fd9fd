import XCTest

@testable import Keyferry

final class TypedErrorTests: BackupTestCase {
    func testAFailedOpeningReportsItsCause() async throws {
        let directory = try newDirectory()
        let account = KeyBackupAccount(homeserverUrl: "matrix.example.org", userId: "@alice:example.org", deviceId: "A")
        await assertThrows(OpenError.invalidHomeserverUrl) {
            _ = try await KeyBackup.open(account: account, directory: directory, protection: .noProtection) { _ in "" }
        }
        let nobody = KeyBackupAccount(homeserverUrl: "https://matrix.example.org", userId: "alice", deviceId: "A")
        await assertThrows(OpenError.invalidAccount) {
            _ = try await KeyBackup.open(account: nobody, directory: directory, protection: .noProtection) { _ in "" }
        }
        let alice = KeyBackupAccount(homeserverUrl: "https://matrix.example.org", userId: "@alice:example.org", deviceId: "A")
        let short = VaultProtection.key(key: Data([1, 2, 3]))
        await assertThrows(OpenError.wrongVaultKey) {
            _ = try await KeyBackup.open(account: alice, directory: directory, protection: short) { _ in "" }
        }
    }

    func testAFailingKeyringIsReported() async throws {
        let directory = try newDirectory()
        let alice = KeyBackupAccount(homeserverUrl: "https://matrix.example.org", userId: "@alice:example.org", deviceId: "A")
        await assertThrows(OpenError.keyringUnavailable(keyLost: false)) {
            let protection = VaultProtection.keyring(keyring: LockedKeyring())
            _ = try await KeyBackup.open(account: alice, directory: directory, protection: protection) { _ in "" }
        }
    }

    func testAFailedUnlockReportsItsCause() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let other = try TestHomeserver(keys: 1, rooms: 1, seed: 99)
        let backup = try await open(homeserver, in: newDirectory())
        let right = homeserver.details.recoveryKey

        let mistyped = String(right.dropLast()) + (right.hasSuffix("a") ? "b" : "a")
        await assertThrows(UnlockError.mistyped) { try await backup.unlock(with: .recoveryKey(text: mistyped)) }
        await assertThrows(UnlockError.notAKey) { try await backup.unlock(with: .recoveryKey(text: "0OIl!")) }
        await assertThrows(UnlockError.wrongKey) {
            try await backup.unlock(with: .recoveryKey(text: other.details.recoveryKey))
        }
        try await backup.unlock(with: .recoveryKey(text: right))
        backup.close()
    }

    func testAnAppThatIsSignedOutSaysSo() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await KeyBackup.open(
            account: homeserver.account, directory: newDirectory(), protection: .noProtection
        ) { _ in throw HostError.signedOut }

        await assertThrows(UnlockError.access(error: .notSignedIn(softLogout: false))) {
            try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        }
        let report = try await notHanging { await backup.run() }
        XCTAssertEqual(report.outcome, .failed(reason: .notSignedIn(softLogout: false)))
        backup.close()
    }

    func testAnAppWithoutATokenNowIsAskedAgainLater() async throws {
        struct NoToken: Error {}
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await KeyBackup.open(
            account: homeserver.account, directory: newDirectory(), protection: .noProtection
        ) { _ in throw NoToken() }

        let report = try await notHanging { await backup.run() }
        guard case .blocked(.noAccessToken, _) = report.outcome else { return XCTFail("\(report.outcome)") }
        XCTAssertEqual(report.wakeUp?.needsNetwork, true)
        backup.close()
    }

    func testAStoppedServerIsUnreachable() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        homeserver.stop()

        await assertThrows(UnlockError.access(error: .unreachable(retryAfter: nil))) {
            try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        }
        backup.close()
    }
}

/// A keyring that cannot be read, as on a phone before it is first unlocked.
private final class LockedKeyring: Keyring {
    struct IsLocked: Error {}

    func load(name: String) throws -> SecretBytes? {
        throw IsLocked()
    }

    func store(name: String, secret: SecretBytes) throws {
        throw IsLocked()
    }
}
