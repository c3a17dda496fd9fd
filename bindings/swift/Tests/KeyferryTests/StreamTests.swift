import XCTest

@testable import Keyferry

final class StreamTests: BackupTestCase {
    func testEveryListenerSeesTheProgressAndItsEnd() async throws {
        let homeserver = try TestHomeserver(keys: 1_000, rooms: 5)
        let backup = try await open(homeserver, in: newDirectory(), sink: Recorder().sink)
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let streams = [backup.progressUpdates, backup.progressUpdates]
        let listeners = streams.map { stream in
            Task { await stream.reduce(into: [DownloadProgress]()) { $0.append($1) } }
        }

        _ = try await notHanging { await backup.run() }
        backup.close()

        for listener in listeners {
            let seen = try await notHanging { await listener.value }
            XCTAssertEqual(seen.last?.delivered, 1_000)
            XCTAssertEqual(seen.last?.stage, .resting)
        }
        let late = backup.progressUpdates
        let last = try await notHanging { await late.reduce(nil as DownloadProgress?) { $1 } }
        XCTAssertEqual(last?.delivered, 1_000, "a late listener gets the latest value, and the end")
    }

    func testTheFirstProgressIsTheStateOfTheVault() async throws {
        let homeserver = try TestHomeserver(keys: 200, rooms: 2)
        let directory = try newDirectory()
        let first = try await open(homeserver, in: directory)
        try await first.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        _ = try await notHanging { await first.run() }
        first.close()

        let second = try await open(homeserver, in: directory)
        let stream = second.progressUpdates
        let value = try await notHanging { await stream.first { _ in true } }

        XCTAssertEqual(value?.fetched, 200)
        XCTAssertEqual(value?.stage, .resting)
        second.close()
    }

    func testArrivalsNameNewKeysAndTheCursorListsThemAll() async throws {
        let homeserver = try TestHomeserver(keys: 300, rooms: 3)
        let backup = try await open(homeserver, in: newDirectory())
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        let arrivals = backup.arrivals
        let listener = Task { await arrivals.reduce(0) { $0 + $1.reduce(0) { $0 + $1.sessionIds.count } } }

        _ = try await notHanging { await backup.run() }
        let page = try await backup.download.arrivedSince(cursor: ArrivalCursor(), limit: 1_000)
        backup.close()

        XCTAssertEqual(page.arrived.reduce(0) { $0 + $1.sessionIds.count }, 300)
        let hinted = try await notHanging { await listener.value }
        XCTAssertGreaterThan(hinted, 0)
    }

    func testListenersThatAreCancelledWhileValuesAreSentHangNobody() async throws {
        let broadcast = Broadcast<Int>(bufferLimit: 1, latest: 0)
        let sender = Task.detached {
            var value = 0
            while !Task.isCancelled {
                value += 1
                broadcast.send(value)
            }
        }
        try await notHanging {
            for _ in 0..<2_000 {
                let listener = Task.detached { for await _ in broadcast.stream() {} }
                await Task.yield()
                listener.cancel()
                await listener.value
            }
        }
        sender.cancel()
        try await notHanging { await sender.value }
    }

    func testASlowListenerGetsTheNewestValue() async {
        let broadcast = Broadcast<Int>(bufferLimit: 1, repeatsLatest: true)
        let stream = broadcast.stream()
        for value in 1...5 { broadcast.send(value) }
        broadcast.finish()
        broadcast.send(6)
        let seen = await stream.reduce(into: [Int]()) { $0.append($1) }
        XCTAssertEqual(seen, [5])
    }
}
