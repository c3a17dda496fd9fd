import XCTest

@testable import Keyferry

final class BackgroundTaskPlanTests: XCTestCase {
    private let much = BackgroundTaskPlan.mostBytesOfARefresh + 1

    private func wakeUp(
        after: UInt64 = 0,
        network: Bool = true,
        unmetered: Bool = false,
        charging: Bool = false,
        bytes: UInt64 = 1_000
    ) -> WakeUp {
        WakeUp(
            notBeforeMs: after,
            needsNetwork: network,
            needsUnmetered: unmetered,
            needsCharging: charging,
            expectedBytes: bytes
        )
    }

    func testAWakeUpIsARefreshIfItFitsAndProcessingOtherwise() {
        let table: [(WakeUp, BackgroundTaskPlan.Kind)] = [
            (wakeUp(), .appRefresh),
            (wakeUp(network: false, bytes: 0), .appRefresh),
            (wakeUp(bytes: much - 1), .appRefresh),
            (wakeUp(bytes: much), .processing),
            (wakeUp(unmetered: true), .processing),
            (wakeUp(charging: true), .processing),
        ]
        for (wakeUp, kind) in table { XCTAssertEqual(BackgroundTaskPlan(wakeUp).kind, kind, "\(wakeUp)") }
        XCTAssertEqual(BackgroundTaskPlan(wakeUp(), mayRefresh: false).kind, .processing)
    }

    func testProcessingRequiresTheNetworkAndPowerThatTheWakeUpNeeds() {
        let table: [(WakeUp, network: Bool, power: Bool)] = [
            (wakeUp(bytes: much), true, false),
            (wakeUp(charging: true), true, true),
            (wakeUp(network: false, charging: true, bytes: 0), false, true),
            (wakeUp(network: false, unmetered: true), true, false),
        ]
        for (wakeUp, network, power) in table {
            let plan = BackgroundTaskPlan(wakeUp)
            XCTAssertEqual(plan.requiresNetworkConnectivity, network, "\(wakeUp)")
            XCTAssertEqual(plan.requiresExternalPower, power, "\(wakeUp)")
        }
        let refresh = BackgroundTaskPlan(wakeUp())
        XCTAssertFalse(refresh.requiresNetworkConnectivity || refresh.requiresExternalPower)
    }

    func testAPlanBeginsNoEarlierThanItsWakeUp() {
        XCTAssertNil(BackgroundTaskPlan(wakeUp()).earliestBegin)
        XCTAssertEqual(BackgroundTaskPlan(wakeUp(after: 90_500)).earliestBegin, 90.5)
        XCTAssertEqual(BackgroundTaskPlan(wakeUp(after: 1_000, bytes: much)).earliestBegin, 1)
    }

    func testAnOutcomeThatLeavesNothingToTryIsASuccess() {
        let holder = RunHolder(processName: "app", processId: 1, isThisProcess: true, sinceMs: 0)
        let table: [(RunOutcome, Bool)] = [
            (whole, true),
            (.short(versions: []), true),
            (.needsUnlock(versions: ["1"]), true),
            (.stopped, true),
            (.alreadyRunning(by: holder), true),
            (.paused(causes: [.user, .offline]), true),
            (.failed(reason: .overtaken), true),
            (.paused(causes: [.timeExpiring]), false),
            (.paused(causes: []), false),
            (.outOfBudget, false),
            (.blocked(reason: .offline, retryAfterMs: nil), false),
            (.failed(reason: .diskFull), false),
        ]
        for (outcome, success) in table { XCTAssertEqual(outcome.leavesNothingToTry, success, "\(outcome)") }
    }
}
