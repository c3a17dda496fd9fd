import XCTest

@testable import Keyferry

/// Tests the texts that end up in an app's log, and in an alert that shows an error as it is.
final class PrintingTests: XCTestCase {
    private let secret = "EsTc"

    func testEveryErrorIsPrintedAsTheSentenceOfTheLibrary() throws {
        let sentences: [(any LocalizedError, String)] = [
            (CryptoError.unavailable(detail: secret), "the app's crypto is not available now"),
            (ExportError.emptyPassphrase, "the passphrase is empty"),
            (HostError.failed(detail: secret), "the app could not answer"),
            (AccessError.locked, "the backup is not unlocked"),
            (AccessError.onHold(causes: [.offline]), "requests are on hold"),
            (OpenError.keyringUnavailable(keyLost: true), "the keyring gave no key"),
            (AccessError.unreachable(retryAfter: .seconds(5)), "the homeserver cannot be reached"),
            (ResetError.losesKeys(losses: [KeyLoss(kind: .failed, keys: 1)]), "keys would be lost"),
            (SinkError.unavailable(detail: secret), "the app's crypto takes no keys now"),
            (AccessError.shutDown, "the client is shut down"),
            (TransportError.failed(detail: secret), "the transport failed"),
            (UnlockError.access(error: .notSignedIn(softLogout: true)), "the account is not signed in"),
            (UnlockError.wrongKey, "the key does not fit the backup"),
            (AccessError.notConfigured, "the client was opened without what this call needs"),
        ]
        for (error, sentence) in sentences {
            XCTAssertEqual("\(error)", sentence)
            XCTAssertEqual(String(reflecting: error), sentence)
        }
        for (error, _) in sentences {
            let text = try XCTUnwrap(error.errorDescription)
            XCTAssertEqual((error as any Error).localizedDescription, text)
            XCTAssertFalse(text.contains("keyferry_") || text.contains(secret), text)
        }
        let told = Set(sentences.map { String(describing: type(of: $0.0)) })
        XCTAssertEqual(told, try errorsOfTheLibrary(), "an error has no sentence")
    }

    func testOutcomesArePrintedWithTheirNamesAndValues() {
        XCTAssertEqual("\(RunOutcome.outOfBudget)", "OutOfBudget")
        let blocked = RunOutcome.blocked(reason: .offline, retryAfter: nil)
        XCTAssertEqual("\(blocked)", "Blocked { reason: Offline, retry_after: None }")
    }

    private func errorsOfTheLibrary() throws -> Set<String> {
        let package = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { place, _ in place.deletingLastPathComponent() }
        let file = package.appendingPathComponent("Sources/Keyferry/Generated/Keyferry.swift")
        let lines = try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline)
        let declared = lines.compactMap { line -> String? in
            // "enum UnlockError: Swift.Error, Equatable, Hashable {", after "public" or on a line by itself.
            guard let end = line.range(of: ": Swift.Error"), let begin = line.range(of: "enum ") else { return nil }
            return String(line[begin.upperBound..<end.lowerBound])
        }
        return Set(declared)
    }
}
