import XCTest

@testable import Keyferry

final class BackgroundTaskPlanTests: XCTestCase {
    private let much = BackgroundTaskPlan.mostBytesOfARefresh + 1

    private let now = Date(timeIntervalSince1970: 1_000_000)

    private func wakeUp(
        after: UInt64 = 0,
        network: Bool = true,
        unmetered: Bool = false,
        charging: Bool = false,
        bytes: UInt64 = 1_000
    ) -> WakeUp {
        WakeUp(
            notBefore: .milliseconds(after),
            needsNetwork: network,
            needsUnmetered: unmetered,
            needsCharging: charging,
            expectedBytes: bytes
        )
    }

    /// Returns the request for this wake-up alone.
    private func plan(
        _ wakeUp: WakeUp,
        for purpose: WakeUpPurpose = .download,
        mayRefresh: Bool = true
    ) throws -> BackgroundTaskPlan {
        var pending = PendingWakeUps()
        pending.keep(wakeUp, for: purpose, of: "@a:b", now: now)
        return try XCTUnwrap(pending.plans(mayRefresh: mayRefresh).first)
    }

    func testAWakeUpIsARefreshIfItFitsAndProcessingOtherwise() throws {
        let table: [(WakeUp, BackgroundTaskPlan.Kind)] = [
            (wakeUp(), .appRefresh),
            (wakeUp(network: false, bytes: 0), .appRefresh),
            (wakeUp(bytes: much - 1), .appRefresh),
            (wakeUp(bytes: much), .processing),
            (wakeUp(unmetered: true), .processing),
            (wakeUp(charging: true), .processing),
        ]
        for (wakeUp, kind) in table { XCTAssertEqual(try plan(wakeUp).kind, kind, "\(wakeUp)") }
        XCTAssertEqual(try plan(wakeUp(), mayRefresh: false).kind, .processing)
    }

    func testAResetIsProcessingHoweverSmall() throws {
        let plan = try plan(wakeUp(after: 1_000, bytes: 0), for: .reset)
        XCTAssertEqual(plan.kind, .processing)
        XCTAssertTrue(plan.requiresNetworkConnectivity)
        XCTAssertEqual(plan.earliestBegin, now + 1)
    }

    func testAnUploadIsARefreshIfItFits() throws {
        XCTAssertEqual(try plan(wakeUp(), for: .upload).kind, .appRefresh)
        XCTAssertEqual(try plan(wakeUp(bytes: much), for: .upload).kind, .processing)
    }

    func testEachPurposeHasAWakeUpOfItsOwnAndTheFileKeepsThem() throws {
        let purposes: [WakeUpPurpose] = [.preferenceWrite, .download, .reset, .upload]
        var pending = PendingWakeUps()
        for _ in 0..<2 {
            for purpose in purposes { pending.keep(wakeUp(), for: purpose, of: "@a:b", now: now) }
        }
        XCTAssertEqual(pending.entries.map(\.purpose), [.preferenceWrite, .download, .reset, .upload])
        let file = try JSONEncoder().encode(pending)
        XCTAssertEqual(try JSONDecoder().decode(PendingWakeUps.self, from: file), pending)
        XCTAssertEqual(pending.plans(mayRefresh: true).map(\.kind), [.appRefresh, .processing])
        pending.keep(nil, for: .reset, of: "@a:b", now: now)
        XCTAssertEqual(pending.plans(mayRefresh: true).map(\.kind), [.appRefresh])
    }

    func testProcessingRequiresTheNetworkAndPowerThatTheWakeUpNeeds() throws {
        let table: [(WakeUp, network: Bool, power: Bool)] = [
            (wakeUp(bytes: much), true, false),
            (wakeUp(charging: true), true, true),
            (wakeUp(network: false, charging: true, bytes: 0), false, true),
            (wakeUp(network: false, unmetered: true), true, false),
        ]
        for (wakeUp, network, power) in table {
            let plan = try plan(wakeUp)
            XCTAssertEqual(plan.requiresNetworkConnectivity, network, "\(wakeUp)")
            XCTAssertEqual(plan.requiresExternalPower, power, "\(wakeUp)")
        }
        let refresh = try plan(wakeUp())
        XCTAssertFalse(refresh.requiresNetworkConnectivity || refresh.requiresExternalPower)
    }

    func testAPlanBeginsNoEarlierThanItsWakeUp() throws {
        XCTAssertEqual(try plan(wakeUp()).earliestBegin, now)
        XCTAssertEqual(try plan(wakeUp(after: 90_500)).earliestBegin, now + 90.5)
        XCTAssertEqual(try plan(wakeUp(after: 1_000, bytes: much)).earliestBegin, now + 1)
    }

    func testOneRequestOfAKindServesAllAccounts() throws {
        var pending = PendingWakeUps()
        pending.keep(wakeUp(after: 60_000, charging: true, bytes: much), for: .download, of: "@a:b", now: now)
        pending.keep(wakeUp(after: 30_000, network: false, bytes: much), for: .download, of: "@b:b", now: now)
        pending.keep(wakeUp(after: 5_000), for: .preferenceWrite, of: "@a:b", now: now)
        let plans = pending.plans(mayRefresh: true)
        XCTAssertEqual(plans.map(\.kind), [.processing, .appRefresh])
        XCTAssertEqual(plans[0].earliestBegin, now + 30, "the first that can begin")
        XCTAssertFalse(plans[0].requiresExternalPower || plans[0].requiresNetworkConnectivity)
        XCTAssertEqual(plans[1].earliestBegin, now + 5)

        pending.keep(nil, for: .download, of: "@b:b", now: now)
        XCTAssertTrue(pending.plans(mayRefresh: true)[0].requiresExternalPower, "what the other account needs is left")
        pending.removeAll(of: "@a:b")
        XCTAssertEqual(pending, PendingWakeUps())
    }

    func testAnOutcomeThatLeavesNothingToTryIsASuccess() {
        let holder = RunHolder(processName: "app", processId: 1, isThisProcess: true, since: Date())
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
            (.blocked(reason: .offline, retryAfter: nil), false),
            (.failed(reason: .diskFull), false),
        ]
        for (outcome, success) in table { XCTAssertEqual(outcome.leavesNothingToTry, success, "\(outcome)") }
        let resets: [(ResetOutcome, Bool)] = [
            (.completed, true),
            (.nothingToDo, true),
            (.halted(why: .overtaken), true),
            (.cryptoRefuses(reason: ""), true),
            (.needsUnlock(versions: ["1"]), true),
            (.paused(causes: [.user]), true),
            (.paused(causes: [.timeExpiring]), false),
            (.outOfBudget, false),
            (.blocked(reason: .cryptoUnavailable, retryAfter: nil), false),
        ]
        for (outcome, success) in resets { XCTAssertEqual(outcome.leavesNothingToTry, success, "\(outcome)") }
        let uploads: [(UploadOutcome, Bool)] = [
            (.completed, true),
            (.hindered(by: .otherBackup), true),
            (.cryptoRefuses(reason: ""), true),
            (.alreadyRunning(by: holder), true),
            (.paused(causes: [.offline]), false),
            (.outOfBudget, false),
            (.failed(reason: .tls), false),
        ]
        for (outcome, success) in uploads { XCTAssertEqual(outcome.leavesNothingToTry, success, "\(outcome)") }
    }
}
