import XCTest

@testable import Keyferry

final class EndingTests: BackupTestCase {
    func testCancellingTheTaskEndsTheRunAndTheNextOneCompletes() async throws {
        let homeserver = try TestHomeserver(keys: 5_000, rooms: 10)
        let recorder = Recorder()
        let (batches, firstBatch) = AsyncStream.makeStream(of: Void.self)
        let sink = ClosureSink { keys in
            firstBatch.yield()
            // Long enough that the cancellation comes before the last batch.
            try? await Task.sleep(nanoseconds: 300_000_000)
            return await recorder.take(keys)
        }
        let backup = try await open(homeserver, in: newDirectory(), sink: sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))

        let task = Task { await backup.run() }
        try await notHanging { for await _ in batches { break } }
        task.cancel()
        let report = try await notHanging { await task.value }

        XCTAssertEqual(report.outcome, .paused(causes: [.timeExpiring]))
        XCTAssertLessThan(report.summary.delivered, 5_000)
        let next = try await notHanging { await backup.run() }
        assertCompleted(next.outcome)
        let names = await recorder.names
        XCTAssertEqual(names.count, 5_000)
        backup.close()
    }

    func testARunInACancelledTaskEnds() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        let backup = try await open(homeserver, in: newDirectory())

        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return await backup.run()
        }
        task.cancel()
        let report = try await notHanging { await task.value }

        guard case .paused = report.outcome else { return XCTFail("outcome: \(report.outcome)") }
        backup.close()
    }

    func testPauseEndsARunThatWaitsForASilentServer() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.stallKeys()
        let backup = try await open(homeserver, in: newDirectory())
        let progress = backup.progressUpdates

        let task = Task { await backup.run() }
        try await waitUntilFetching(progress)
        try await notHanging { try await backup.pause() }
        let report = try await notHanging { await task.value }

        XCTAssertEqual(report.outcome, .paused(causes: [.user]))
        backup.close()
    }

    func testTheBudgetEndsARun() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        let backup = try await open(homeserver, in: newDirectory())

        let report = try await notHanging { await backup.run(budget: .seconds(1)) }

        XCTAssertEqual(report.outcome, .outOfBudget)
        backup.close()
    }

    func testADamagedVaultIsSetAsideAndAnOpenClientFailsAsGone() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let directory = try newDirectory()
        let left = try await open(homeserver, in: directory)
        let file = directory.appendingPathComponent("keyferry.sqlite3")
        let size = try Data(contentsOf: file).count
        try Data(repeating: 0x55, count: size).write(to: file)
        await assertThrows(OpenError.vaultDamaged) { _ = try await self.open(homeserver, in: directory) }
        let aside = try await KeyBackup.setVaultAside(in: directory)
        XCTAssertEqual(try Data(contentsOf: XCTUnwrap(aside)).count, size)
        let nothing = try await KeyBackup.setVaultAside(in: directory)
        XCTAssertNil(nothing)
        let backup = try await open(homeserver, in: directory)
        await assertThrows(AccessError.vaultGone) { _ = try await left.status() }
        let report = await left.run()
        XCTAssertEqual(report.outcome, .failed(reason: .vaultGone))
        left.close()
        backup.close()
    }

    func testCloseEndsARunAndReleasesTheSink() async throws {
        let homeserver = try TestHomeserver(keys: 500, rooms: 2)
        try await homeserver.setFaults(#"[{"kind":"silence"}]"#)
        var sink: ClosureSink? = Recorder().sink
        weak var observed = sink
        let backup = try await open(homeserver, in: newDirectory(), sink: sink)
        sink = nil
        XCTAssertNotNil(observed)

        let task = Task { await backup.run() }
        try await Task.sleep(nanoseconds: 200_000_000)
        backup.close()
        backup.close()
        let report = try await notHanging { await task.value }

        XCTAssertEqual(report.outcome, .paused(causes: []))
        await assertThrows(AccessError.shutDown) { _ = try await backup.status() }
        for _ in 0..<100 where observed != nil { try await Task.sleep(nanoseconds: 50_000_000) }
        XCTAssertNil(observed, "a closed backup keeps the sink alive")
    }
}
