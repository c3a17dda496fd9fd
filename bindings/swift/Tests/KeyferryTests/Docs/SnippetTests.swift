#if canImport(AppleFoundation)
import AppleFoundation
import BackgroundTasks
import XCTest

@testable import Keyferry

/// Runs the lines that the documents show.
final class SnippetTests: ApplePhone {
    func testTheLinesOfTheReadmeRestoreABackup() async throws {
        let homeserver = try newHomeserver()
        let recorder = Recorder()
        let session = Session(
            account: homeserver.account, sink: recorder.sink, token: homeserver.details.accessToken)
        let delegate = await SnippetApp(session)
        await delegate.didFinishLaunching()
        Session.current = session
        let isLaunched = await AppDelegate().application(.shared, didFinishLaunchingWithOptions: nil)
        XCTAssertTrue(isLaunched)
        try await delegate.unlock(with: homeserver.details.recoveryKey)
        let backup = try await session.keyBackup()
        try await eventually("every key is here") { backup.state.activity == .done(everyKeyIsHere: true) }
        let count = await recorder.keys.count
        XCTAssertEqual(count, 300)

        let downloads = try BackgroundFileDownloads(identifier: "org.example.files", directory: newDirectory())
        let (done, tell) = AsyncStream.makeStream(of: Void.self)
        await delegate.handleEvents(of: downloads) { tell.yield() }
        downloads.urlSessionDidFinishEvents(forBackgroundURLSession: .shared)
        try await notHanging { for await _ in done { break } }
    }

    func testTheOtherLinesOfThePageWork() async throws {
        let homeserver = try newHomeserver()
        let more = moreOfAnApp(homeserver, TestCrypto(homeserver))
        let backup = try await more.openAgain()
        var said = ""
        await more.tell("EsTc", backup) { said = $0 }
        XCTAssertFalse(said.isEmpty)
        await more.tell(homeserver.details.recoveryKey, backup) { _ in XCTFail("the key is right") }
        let key = try await more.decrypt("none", in: "!none:localhost", with: backup)
        XCTAssertNil(key)
        backup.close()
        let downloads = try BackgroundFileDownloads(identifier: "org.example.files", directory: newDirectory())
        let other = try await more.openWithOptions(downloads, in: newDirectory())
        other.close()
        let answers = try await more.sink().deliver(keys: [])
        XCTAssertEqual(answers, [])
        XCTAssertEqual(more.preview().state.activity, .idle)
        try await more.signOut()
        XCTAssertNil(launchByHand(more.session), "nothing has asked for a wake-up")
    }

    func testTheLinesOnAResetMoveTheBackupAndSaveTheKeysBeforeALogout() async throws {
        let homeserver = try newHomeserver()
        let more = moreOfAnApp(homeserver, TestCrypto(homeserver))
        let backup = try await more.openWithCrypto()
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await more.moveBackup(backup) { _ in false }
        let unchanged = try await backup.resetStatus()
        XCTAssertNil(unchanged, "the losses are not accepted")
        _ = try await notHanging { await backup.run() }

        try await more.moveBackup(backup) { _ in false }

        let current = try await homeserver.currentVersion()
        XCTAssertEqual(current?.version, "2")
        let old = try await homeserver.version("1")
        XCTAssertNil(old)
        let isSaved = try await more.uploadBeforeLogout(backup)
        XCTAssertTrue(isSaved)
        backup.close()
    }

    private func moreOfAnApp(_ homeserver: TestHomeserver, _ crypto: TestCrypto) -> MoreOfAnApp {
        let session = Session(
            account: homeserver.account, sink: Recorder().sink, token: homeserver.details.accessToken)
        return MoreOfAnApp(session: session, secrets: crypto, signer: crypto, source: crypto)
    }
}
#endif
