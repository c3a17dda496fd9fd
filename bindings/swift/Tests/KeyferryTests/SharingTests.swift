import XCTest

@testable import Keyferry

/// Tests several callers of one backup: a caller that cancels must not disturb the others.
final class SharingTests: BackupTestCase {
    func testCancellingARefusedRunDoesNotAffectTheActiveRun() async throws {
        let homeserver = try TestHomeserver(keys: 5_000, rooms: 5, "--bytes-per-second", "4000000")
        let backup = try await openUnlocked(homeserver)
        let progress = backup.progressUpdates
        let atWork = Task { await backup.run() }
        try await waitUntilFetching(progress)

        for _ in 0..<3 {
            let refused = Task {
                while !Task.isCancelled { await Task.yield() }
                return await backup.run()
            }
            refused.cancel()
            let report = try await notHanging { await refused.value }
            guard case .alreadyRunning = report.outcome else { return XCTFail("outcome: \(report.outcome)") }
        }

        let report = try await notHanging { await atWork.value }
        assertCompleted(report.outcome)
        backup.close()
    }

    func testTheActiveRunCanBeCancelledWhileOtherRunsAreRequested() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.stallKeys()
        let backup = try await openUnlocked(homeserver)
        let progress = backup.progressUpdates
        let atWork = Task { await backup.run() }
        try await waitUntilFetching(progress)
        let others = (0..<20).map { _ in Task { await backup.run() } }

        atWork.cancel()
        let report = try await notHanging { await atWork.value }

        XCTAssertEqual(report.outcome, .paused(causes: [.timeExpiring]))
        others.forEach { $0.cancel() }
        for other in others { _ = try await notHanging { await other.value } }
        backup.close()
    }

    func testCancellingAWaitingExportDoesNotAffectTheActiveExport() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let (backup, files) = try await openForExports(homeserver)
        let first = Task { try await backup.exportRoomKeys(to: files[0], passphrase: "a passphrase") }
        try await waitForExport(to: files[0])
        let second = Task { try await backup.exportRoomKeys(to: files[1], passphrase: "a passphrase") }
        try await Task.sleep(nanoseconds: 50_000_000)

        second.cancel()
        await assertThrows(ExportError.cancelled) { _ = try await second.value }
        XCTAssertFalse(FileManager.default.fileExists(atPath: files[0].path), "the first export must still be under way")
        let summary = try await notHanging { try await first.value }

        XCTAssertEqual(summary.exported, 100)
        XCTAssertEqual(files.map { FileManager.default.fileExists(atPath: $0.path) }, [true, false])
        backup.close()
    }

    func testCancellingTheActiveExportDoesNotAffectTheNextExport() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let (backup, files) = try await openForExports(homeserver)
        let first = Task { try await backup.exportRoomKeys(to: files[0], passphrase: "a passphrase") }
        try await waitForExport(to: files[0])
        let second = Task { try await backup.exportRoomKeys(to: files[1], passphrase: "a passphrase") }

        first.cancel()
        await assertThrows(ExportError.cancelled) { _ = try await first.value }
        let summary = try await notHanging { try await second.value }

        XCTAssertEqual(summary.exported, 100)
        XCTAssertEqual(files.map { FileManager.default.fileExists(atPath: $0.path) }, [false, true])
        backup.close()
    }

    func testASinkThatIgnoresAPauseGetsTheNextBatchAfterItHasFinished() async throws {
        let homeserver = try TestHomeserver(keys: 200, rooms: 2)
        let counter = ConcurrencyCounter()
        let sink = ClosureSink { keys in
            await counter.enter()
            // Ignores its own cancellation.
            await Task.detached { try? await Task.sleep(nanoseconds: 800_000_000) }.value
            await counter.leave()
            return keys.map { _ in .imported }
        }
        let backup = try await openUnlocked(homeserver, sink: sink)
        let first = Task { await backup.run() }
        try await notHanging { while await counter.entered == 0 { try await Task.sleep(nanoseconds: 5_000_000) } }
        try await backup.pause(.thermal)
        let paused = try await notHanging { await first.value }
        XCTAssertEqual(paused.outcome, .paused(causes: [.thermal]))
        try await backup.resume(.thermal)

        let report = try await notHanging { await backup.run() }

        assertCompleted(report.outcome)
        let (most, entered) = await (counter.most, counter.entered)
        XCTAssertEqual(most, 1, "two batches were delivered at the same time")
        XCTAssertGreaterThanOrEqual(entered, 2)
        backup.close()
    }

    func testTurnsAreTakenInOrderAndACancelledCallerGetsNone() async throws {
        let turns = Turns()
        let (gate, key) = AsyncStream.makeStream(of: Void.self)
        let order = Order()
        let tasks = (0..<4).map { number in
            Task {
                // Staggered, so that the tasks wait in order.
                try await Task.sleep(nanoseconds: UInt64(number) * 50_000_000)
                try await turns.inTurn {
                    if number == 0 { for await _ in gate { break } }
                    await order.note(number)
                }
            }
        }
        try await Task.sleep(nanoseconds: 300_000_000)
        let none = await order.seen
        XCTAssertEqual(none, [])

        tasks[1].cancel()
        let givenUp = try await notHanging { await tasks[1].result }
        XCTAssertThrowsError(try givenUp.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        key.yield()
        try await notHanging { for task in [tasks[0], tasks[2], tasks[3]] { try await task.value } }

        let seen = await order.seen
        XCTAssertEqual(seen, [0, 2, 3])
    }

    private func openUnlocked(_ homeserver: TestHomeserver, sink: ClosureSink? = nil) async throws -> KeyBackup {
        let backup = try await open(homeserver, in: newDirectory(), sink: sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        return backup
    }

    /// Returns a backup whose keys are all fetched, and the URLs of two files to export to.
    private func openForExports(_ homeserver: TestHomeserver) async throws -> (KeyBackup, [URL]) {
        let backup = try await openUnlocked(homeserver)
        let report = try await notHanging { await backup.run() }
        assertCompleted(report.outcome)
        let directory = try newDirectory()
        return (backup, ["first.txt", "second.txt"].map { directory.appendingPathComponent($0) })
    }

    /// Waits until the export to that file is under way; deriving its key then takes a while.
    private func waitForExport(to file: URL) async throws {
        try await notHanging {
            while !FileManager.default.fileExists(atPath: file.path + ".part") {
                try await Task.sleep(nanoseconds: 1_000_000)
            }
        }
    }
}

/// Counts how many callers are inside at the same time.
private actor ConcurrencyCounter {
    private(set) var entered = 0
    private(set) var most = 0
    private var inside = 0

    func enter() {
        entered += 1
        inside += 1
        most = max(most, inside)
    }

    func leave() {
        inside -= 1
    }
}

private actor Order {
    private(set) var seen: [Int] = []

    func note(_ number: Int) {
        seen.append(number)
    }
}
