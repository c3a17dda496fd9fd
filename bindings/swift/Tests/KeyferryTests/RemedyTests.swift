import Foundation
import XCTest

@testable import Keyferry

/// `docs/errors.md` says what an app can do about each error. The tests of the crate read the same tables.
final class RemedyTests: XCTestCase {
    func testEveryErrorSaysWhatTheAppCanDoAsThePageDoes() throws {
        let accesses: KeyValuePairs<String, AccessError> = [
            "locked": .locked, "noBackup": .noBackup, "onHold": .onHold(causes: []),
            "unreachable": .unreachable(retryAfter: nil), "serverFault": .serverFault,
            "notSignedIn": .notSignedIn(softLogout: false), "refusedByServer": .refusedByServer, "tls": .tls,
            "cryptoUnavailable": .cryptoUnavailable, "cryptoRefuses": .cryptoRefuses(reason: ""),
            "vaultInaccessible": .vaultInaccessible, "diskFull": .diskFull, "vaultGone": .vaultGone,
            "vaultDamaged": .vaultDamaged, "shutDown": .shutDown, "notConfigured": .notConfigured,
            "internal": .internal,
        ]
        let openings: KeyValuePairs<String, OpenError> = [
            "invalidHomeserverUrl": .invalidHomeserverUrl, "invalidAccount": .invalidAccount,
            "unusableDataDir": .unusableDataDir, "wrongVaultKey": .wrongVaultKey,
            "otherProtection": .otherProtection, "keyringUnavailable": .keyringUnavailable(keyLost: false),
            "otherAccount": .otherAccount, "vaultTooNew": .vaultTooNew, "vaultDamaged": .vaultDamaged,
            "diskFull": .diskFull, "vaultInUse": .vaultInUse, "internal": .internal,
        ]
        let unlocks: KeyValuePairs<String, UnlockError> = [
            "notAKey": .notAKey, "mistyped": .mistyped, "wrongKey": .wrongKey, "noPassphrase": .noPassphrase,
            "unsupported": .unsupported,
        ]
        let exports: KeyValuePairs<String, ExportError> = [
            "emptyPassphrase": .emptyPassphrase, "unwritableFile": .unwritableFile, "cancelled": .cancelled,
        ]
        let resets: KeyValuePairs<String, ResetError> = [
            "cannotKeepSecrets": .cannotKeepSecrets, "backupExists": .backupExists, "underWay": .underWay,
            "notUnderWay": .notUnderWay, "losesKeys": .losesKeys(losses: []), "notProved": .notProved,
            "currentVersion": .currentVersion, "preferenceNotConfirmed": .preferenceNotConfirmed,
            "halted": .halted(why: .overtaken),
        ]
        let failures: KeyValuePairs<String, RunFailure> = [
            "noBackup": .noBackup, "backupNotServed": .backupNotServed,
            "unsupportedAlgorithm": .unsupportedAlgorithm, "notSignedIn": .notSignedIn(softLogout: false),
            "refusedByServer": .refusedByServer, "tls": .tls, "diskFull": .diskFull, "overtaken": .overtaken,
            "vaultGone": .vaultGone, "vaultDamaged": .vaultDamaged, "internal": .internal,
        ]
        var told = failures.map { ("RunFailure.\($0)", $1.remedy) }
        told += accesses.map { ("AccessError.\($0)", $1.remedy) }
        told += openings.map { ("OpenError.\($0)", $1.remedy) }
        told += unlocks.map { ("UnlockError.\($0)", $1.remedy) }
        told += exports.map { ("ExportError.\($0)", $1.remedy) }
        told += resets.map { ("ResetError.\($0)", $1.remedy) }

        let table = try table()
        for (name, remedy) in told { XCTAssertEqual(table[name], "\(remedy)", name) }
        XCTAssertEqual(Set(told.map(\.0)), Set(table.keys).filter { !$0.hasSuffix(".access") })
        XCTAssertEqual(OpenError.keyringUnavailable(keyLost: true).remedy, .setVaultAside)
        let wrapping: [any KeyBackupError] = [
            UnlockError.access(error: .tls), ExportError.access(error: .tls), ResetError.access(error: .tls),
        ]
        for error in wrapping {
            XCTAssertEqual(error.remedy, .askUser)
            XCTAssertEqual("\(error)", "\(AccessError.tls)")
            XCTAssertEqual(error.localizedDescription, AccessError.tls.localizedDescription)
        }
    }

    /// Returns the remedy of each error, both by their names in Swift.
    private func table() throws -> [String: String] {
        let root = (0..<5).reduce(URL(fileURLWithPath: #filePath)) { place, _ in place.deletingLastPathComponent() }
        let page = try String(contentsOf: root.appendingPathComponent("docs/errors.md"), encoding: .utf8)
        var table: [String: String] = [:]
        for line in page.split(whereSeparator: \.isNewline) where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.replacingOccurrences(of: "`", with: "") }
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard let error = cells.first, let remedy = cells.last?.split(separator: ";").first else { continue }
            guard error.contains("Error.") || error.contains("RunFailure.") else { continue }
            let parts = error.split(separator: ".").map(String.init)
            table["\(parts[0]).\(small(parts[1]))"] = small(String(remedy))
        }
        return table
    }

    private func small(_ name: String) -> String { name.prefix(1).lowercased() + name.dropFirst() }
}
