import XCTest

@testable import Keyferry
import KeyferryTesting

/// Tests what a screen shows.
final class ScreenTests: BackupTestCase {
    private let downloading = DownloadProgress.fake(
        .fetching, total: 20_000, fetched: 12_000, timeLeft: .seconds(150))

    func testEveryStateHasTextsInEnglishAndGerman() throws {
        let english = try XCTUnwrap(Texts(language: "en"))
        let german = try XCTUnwrap(Texts(language: "de"))
        for state in allStates {
            for texts in [english, german] {
                let title = state.title(texts)
                let detail = state.detail(texts)
                XCTAssertFalse(title.isEmpty, "\(state)")
                XCTAssertFalse((title + detail).contains("keyferry_"), "\(state): \(title), \(detail)")
                XCTAssertFalse((title + detail).contains("%"), "\(state): \(title), \(detail)")
            }
            XCTAssertNotEqual(state.title(english), state.title(german))
        }
        let working = KeyBackupState(.working, downloading)
        XCTAssertEqual(working.title(english), "Downloading message keys")
        XCTAssertEqual(working.detail(english), "12,000 of 20,000 keys, about 3 minutes left")
        XCTAssertEqual(working.detail(german), "12.000 von 20.000 Schlüsseln, noch etwa 3 Minuten")
        let one = KeyBackupState(.done(everyKeyIsHere: true), .fake(total: 1, fetched: 1, delivered: 1))
        XCTAssertEqual(one.detail(english), "1 key")
        let paused = KeyBackupState(.paused(causes: [.inBackground, .meteredNetwork]), downloading)
        XCTAssertTrue(paused.detail(english).contains("Wi-Fi"), "what a user can do something about comes first")
        XCTAssertNil(Texts(language: "xx"))
    }

    func testEveryStepOfAResetHasTextsInEnglishAndGerman() throws {
        let english = try XCTUnwrap(Texts(language: "en"))
        let german = try XCTUnwrap(Texts(language: "de"))
        let steps: [ResetStep] = [
            .begun, .secretsKept, .created, .published, .adopted, .readingBack, .uploading, .proved, .done,
        ]
        for step in steps {
            let progress = ResetProgress(step: step, sent: 2_100, total: 2_000)
            for text in [progress.title(english), progress.detail(english), progress.title(german), progress.detail(german)] {
                XCTAssertFalse(text.isEmpty || text.contains("keyferry_") || text.contains("%"), "\(step): \(text)")
            }
            XCTAssertNotEqual(progress.detail(english), progress.detail(german))
        }
        for why: ResetStop in [.overtaken, .secretStorageChanged, .oldVersionStays] {
            let stopped = ResetProgress(step: .created, sent: 0, total: 2_000, stopped: why)
            XCTAssertTrue(stopped.detail(english).contains("Begin again"), "\(why): \(stopped.detail(english))")
            XCTAssertNotEqual(stopped.detail(english), stopped.detail(german))
        }
        let uploading = ResetProgress(step: .uploading, sent: 1_200, total: 20_000)
        XCTAssertEqual(uploading.detail(english), "1,200 of 20,000 keys uploaded")
    }

    func testEveryTextThatTheCodeNamesExistsInEnglishAndGerman() throws {
        let package = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { place, _ in place.deletingLastPathComponent() }
        let folder = package.appendingPathComponent("Sources/Keyferry/Screens")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        let code = try files.map { try String(contentsOf: $0, encoding: .utf8) }.joined()
        let names = Set(code.split(separator: "\"").filter { $0.hasPrefix("keyferry_") }.map(String.init))
        XCTAssertGreaterThan(names.count, 60)
        for language in ["en", "de"] {
            let texts = try XCTUnwrap(Texts(language: language))
            for name in names {
                let isThere = texts.text(name) != name || texts.text(name, quantity: 1) != name + ".one"
                XCTAssertTrue(isThere, "\(language) lacks \(name)")
            }
        }
    }

    func testAnErrorTellsTheUserWhatToDo() {
        XCTAssertEqual(UnlockError.mistyped.localizedDescription, "The recovery key has a typing error. Check it.")
        XCTAssertEqual("\(UnlockError.mistyped)", "the recovery key has a typing error")
    }

    func testTheButtonFitsTheState() {
        let expected: [KeyBackupAction?] = [
            nil, .pause, .resume, nil, .resume, .unlock, .retry, nil, nil, nil, .retry, nil, .retry,
        ]
        XCTAssertEqual(allStates.map { KeyBackupAction(for: $0) }, expected)
        for action in expected.compactMap({ $0 }) { XCTAssertFalse(action.title.contains("keyferry_")) }
        XCTAssertEqual(downloading.fraction, 0.6)
    }

    func testTheStateFollowsTheDownload() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let backup = try await open(homeserver, in: newDirectory())
        XCTAssertEqual(backup.state.activity, .idle)
        let states = backup.stateUpdates
        let seen = Task { await states.reduce(into: [KeyBackupState.Activity]()) { $0.append($1.activity) } }

        _ = try await notHanging { await backup.run() }
        XCTAssertEqual(backup.state.activity, .needsUnlock)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await backup.pause()
        XCTAssertEqual(backup.state.activity, .paused(causes: [.user]))
        try await backup.resume()
        _ = try await notHanging { await backup.run() }
        XCTAssertEqual(backup.state.activity, .done(everyKeyIsHere: true))
        XCTAssertEqual(backup.progress.opened, 300)
        try await backup.stop()
        XCTAssertEqual(backup.state.activity, .stopped)
        backup.close()

        let all = try await notHanging { await seen.value }
        XCTAssertTrue(all.contains(.working))
        XCTAssertEqual(all.last, .stopped)
    }

    private var allStates: [KeyBackupState] {
        let activities: [KeyBackupState.Activity] = [
            .idle, .working, .paused(causes: [.user, .offline]), .paused(causes: [.offline]), .stopped, .needsUnlock,
            .waiting(for: .offline), .short(missing: 3), .done(everyKeyIsHere: true), .done(everyKeyIsHere: false),
            .failed(.diskFull), .failed(.noBackup), .waiting(for: .cryptoUnavailable),
        ]
        return activities.map { KeyBackupState($0, downloading) }
    }
}
