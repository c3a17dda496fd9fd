import XCTest

@testable import Keyferry

final class SecretsTests: XCTestCase {
    private let secret = "EsTc"

    func testNoSecretIsPrintedWithWhatHoldsIt() {
        let key = RoomKey(
            roomId: "!room:a", sessionId: "session", algorithm: "m.megolm.v1.aes-sha2", senderKey: "sender",
            sessionKey: secret, senderClaimedKeys: [:], forwardingCurve25519KeyChain: [], firstKnownIndex: 0,
            sharedHistory: true
        )
        let request = HttpRequest(
            method: .get, url: "https://a", headers: [HttpHeader(name: "Authorization", value: secret)], body: nil,
            idleTimeoutMs: 1
        )
        let holders: [Any] = [
            key, [key], RoomKeyLookup.found(key: key), UnlockSecret.recoveryKey(text: secret),
            UnlockSecret.passphrase(text: secret), UnlockSecret.decryptionKey(base64: secret),
            VaultProtection.passphrase(passphrase: secret), request,
        ]
        for holder in holders {
            for text in ["\(holder)", String(reflecting: holder)] { XCTAssertFalse(text.contains(secret), text) }
        }
        XCTAssertTrue("\(key)".contains("!room:a"), "the rest is still told")
    }
}
