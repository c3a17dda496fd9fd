import XCTest

@testable import Keyferry

final class PausingTests: BackupTestCase {
    func testADownloadPausedByTheUserStaysPausedUntilTheUserResumesIt() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        try await backup.pause()
        let held = try await notHanging { await backup.run() }
        XCTAssertEqual(held.outcome, .paused(causes: [.user]))
        let status = try await backup.status()
        XCTAssertEqual(status.causes, [.user])
        try await backup.resume()
        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        backup.close()
    }

    func testADownloadStaysPausedUntilItsLastCauseIsGone() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        for cause in [PauseCause.lowPower, .storageLocked] { try await backup.pause(cause) }
        try await backup.resume(.lowPower)
        let held = try await notHanging { await backup.run() }
        XCTAssertEqual(held.outcome, .paused(causes: [.storageLocked]))

        try await backup.resume(.storageLocked)
        // Low power has no effect under a policy that allows it.
        backup.setPolicy(DownloadPolicy(inLowPower: true))
        try await backup.pause(.lowPower)
        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        backup.close()
    }

    func testAStoppedDownloadStaysStoppedUntilItIsStarted() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let wakeUps = WakeUps()
        let backup = try await open(homeserver, in: newDirectory(), wakeUps: wakeUps)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        try await backup.stop()
        let stopped = try await notHanging { await backup.run() }
        XCTAssertEqual(stopped.outcome, .stopped)
        let status = try await backup.status()
        XCTAssertTrue(status.stopped)
        let cancelled = await wakeUps.latest(.download)
        XCTAssertNil(cancelled)
        try await backup.start()
        let wanted = await wakeUps.latest(.download)
        XCTAssertNotNil(wanted)
        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        backup.close()
    }

    func testAWakeUpIsRequestedWhileKeysAreLeftAndCancelledWhenARunCompletes() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        let wakeUps = WakeUps()
        let backup = try await open(homeserver, in: newDirectory(), wakeUps: wakeUps)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        let slice = try await notHanging { await backup.run(budget: .seconds(1)) }
        XCTAssertEqual(slice.outcome, .outOfBudget)
        let wanted = await wakeUps.latest(.download)
        XCTAssertNotNil(wanted)
        XCTAssertEqual(slice.wakeUp, wanted)
        XCTAssertEqual(wanted?.needsNetwork, true)

        try await homeserver.setFaults("[]")
        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        XCTAssertNil(report.wakeUp)
        XCTAssertGreaterThan(report.bytesDownloaded, 0)
        XCTAssertEqual(report.decrypted, 500)
        let left = await wakeUps.latest(.download)
        XCTAssertNil(left)
        backup.close()
    }

    func testARefusedRunNamesTheProcessOfTheActiveRun() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        try await homeserver.stallKeys()
        let backup = try await open(homeserver, in: newDirectory())
        let progress = backup.progressUpdates
        let task = Task { await backup.run() }
        try await waitUntilFetching(progress)

        let other = try await notHanging { await backup.run() }

        guard case .alreadyRunning(let holder) = other.outcome else { return XCTFail("outcome: \(other.outcome)") }
        XCTAssertEqual(holder.processName, "app")
        XCTAssertTrue(holder.isThisProcess)
        task.cancel()
        _ = try await notHanging { await task.value }
        backup.close()
    }
}
