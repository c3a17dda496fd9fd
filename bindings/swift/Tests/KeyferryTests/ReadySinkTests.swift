import XCTest

@testable import Keyferry

final class ReadySinkTests: BackupTestCase {
    func testKeysComeAsFilesInHalvesIfAFileIsRefused() async throws {
        let files = Kept<KeyFile>()
        let sink = ClosureSink.forKeyFiles { file in
            if file.keys > 4 { throw CryptoError.refused(reason: "too many") }
            await files.keep(file)
        }
        let report = try await restore(into: sink)
        XCTAssertEqual(report.summary.delivered, 30)
        let all = await files.all
        XCTAssertEqual(all.reduce(0) { $0 + $1.keys }, 30)
        XCTAssertTrue(all.allSatisfy { $0.content.hasPrefix("-----BEGIN MEGOLM SESSION DATA-----\n") })
        XCTAssertEqual(Set(all.map(\.passphrase)).count, all.count)
    }

    func testKeysOfTheMachinesOwnBackupComeAsJsonAndAllOthersAsFiles() async throws {
        for (own, isOwn) in [("1", true), ("2", false), (nil, false)] {
            let arrays = Kept<String>()
            let files = Kept<KeyFile>()
            let sink = ClosureSink.forCryptoFfi {
                own
            } importFromBackup: { json, version in
                XCTAssertEqual(version, "1")
                await arrays.keep(json)
            } importFile: { file in
                await files.keep(file)
            }
            let report = try await restore(into: sink)
            XCTAssertEqual(report.summary.delivered, 30)
            let inArrays = await arrays.all.reduce(0) { $0 + $1.components(separatedBy: "\"session_key\":").count - 1 }
            let inFiles = await files.all.reduce(0) { $0 + $1.keys }
            XCTAssertEqual(inArrays, isOwn ? 30 : 0)
            XCTAssertEqual(inFiles, isOwn ? 0 : 30)
        }
    }

    func testAKeyThatIsRefusedAloneCountsAsRefused() async throws {
        let report = try await restore(into: ClosureSink.forKeyFiles { _ in throw CryptoError.refused(reason: "never") })
        XCTAssertEqual(report.summary.refused, 30)
    }

    private func restore(into sink: ClosureSink) async throws -> RunReport {
        let homeserver = try TestHomeserver(keys: 30, rooms: 3)
        let backup = try await open(homeserver, in: newDirectory(), sink: sink)
        defer { backup.close() }
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        return try await notHanging { await backup.run() }
    }
}

private actor Kept<Value: Sendable> {
    private(set) var all: [Value] = []

    func keep(_ value: Value) { all.append(value) }
}
