import XCTest

@testable import Keyferry

final class SecretsTests: XCTestCase {
    private let secret = "EsTc"

    func testValuesThatHoldSecretsArePrintedWithoutThem() {
        let key = RoomKey(
            roomId: "!room:a", sessionId: "session", algorithm: "m.megolm.v1.aes-sha2", senderKey: "sender",
            sessionKey: secret, senderClaimedKeys: [:], forwardingCurve25519KeyChain: [], firstKnownIndex: 0,
            sharedHistory: true, origin: BackupOrigin(version: "1", publicKey: "public", isCurrent: true)
        )
        let request = TransportRequest(
            method: .get, url: "https://a", headers: [TransportHeader(name: "Authorization", value: secret)], body: nil,
            idleTimeout: .seconds(1)
        )
        let holders: [Any] = [
            key, [key], RoomKeyLookup.found(key: key, otherRooms: []), UnlockSecret.recoveryKey(text: secret),
            UnlockSecret.passphrase(text: secret), UnlockSecret.decryptionKey(base64: secret),
            VaultProtection.passphrase(passphrase: secret), VaultProtection.key(key: Data(secret.utf8)), request,
            RoomKeyPage(keys: [key], next: nil), options(.passphrase(passphrase: secret)),
            HostError.failed(detail: secret), SinkError.unavailable(detail: secret),
            TransportError.failed(detail: secret), FileDownload.failed(error: .failed(detail: secret)),
        ]
        let bytes = "\(Array(secret.utf8))".dropFirst().dropLast()
        for holder in holders {
            for text in ["\(holder)", String(reflecting: holder)] {
                XCTAssertFalse(text.contains(secret) || text.contains(bytes), text)
            }
            if let error = holder as? any Error { XCTAssertFalse(error.localizedDescription.contains(secret)) }
        }
        XCTAssertTrue("\(key)".contains("!room:a"), "the room id is still printed")
    }

    private func options(_ protection: VaultProtection) -> ClientOptions {
        let account = KeyBackupAccount(homeserverUrl: "https://a", userId: "@a:a", deviceId: "DEVICE")
        return ClientOptions(account: account, dataDir: "/a", protection: protection)
    }
}
