import XCTest

@testable import Keyferry

final class EventTests: XCTestCase {
    func testConditionsAreReportedInOrderAndOnce() async throws {
        let (events, event) = AsyncStream.makeStream(of: String.self)
        var reporter: ConditionReporter? = ConditionReporter(
            pause: { event.yield("pause \($0)") },
            resume: { event.yield("resume \($0)") }
        )
        reporter?.report(.meteredNetwork, holds: false)
        reporter?.report(.offline, holds: true)
        reporter?.report(.offline, holds: true)
        reporter?.report(.thermal, holds: true)
        reporter?.report(.offline, holds: false)
        reporter = nil

        let seen = try await notHanging { await firsts(4, of: events) }
        XCTAssertEqual(seen, ["pause offline", "pause thermal", "resume offline", "resume thermal"])
    }

    func testTheCompletionHandlerIsCalledAfterTheWorkInEitherOrderOfEvents() async throws {
        for osIsFirst in [true, false] {
            let (steps, step) = AsyncStream.makeStream(of: String.self)
            let events = BackgroundEvents()
            let waiter = BackgroundEvents.Waiter(
                work: { step.yield("work") },
                done: { step.yield(Thread.isMainThread ? "done" : "done elsewhere") }
            )
            if osIsFirst { events.wait(waiter) } else { events.areTold() }
            if osIsFirst { events.areTold() } else { events.wait(waiter) }

            let seen = try await notHanging { await firsts(2, of: steps) }
            XCTAssertEqual(seen, ["work", "done"])
        }
    }
}

private func firsts(_ count: Int, of events: AsyncStream<String>) async -> [String] {
    var seen: [String] = []
    for await event in events {
        seen.append(event)
        if seen.count == count { break }
    }
    return seen
}
