#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import BackgroundTasks
import Foundation

/// Asks BGTaskScheduler for the wake-ups of all accounts.
final class BackgroundScheduler: @unchecked Sendable {
    static let shared = BackgroundScheduler()

    /// Thrown if no task is registered: iOS would stop an app that gets a task it knows nothing of.
    struct NotRegistered: Error {}

    private let lock = NSLock()
    private var identifiers = Registered()
    private var hasWarned = false

    /// The identifiers whose launch handlers are registered.
    struct Registered {
        var processing: String?
        var appRefresh: String?
    }

    /// Notes the identifiers whose launch handlers are registered.
    func use(_ identifiers: Registered) {
        lock.withLock { self.identifiers = identifiers }
    }

    /// Takes a wake-up in place of the last one of its purpose and account; `nil` cancels the last one.
    func keep(_ wakeUp: WakeUp?, for purpose: WakeUpPurpose, of userID: String) throws {
        do {
            try change { $0.keep(wakeUp, for: purpose, of: userID, now: Date()) }
        } catch is NotRegistered {
            let isFirst = lock.withLock { () -> Bool in
                defer { hasWarned = true }
                return !hasWarned
            }
            if isFirst { NSLog("keyferry: no background task is registered, so nothing continues in the background") }
            throw NotRegistered()
        }
    }

    /// Cancels the wake-ups of an account.
    func removeAll(of userID: String) {
        try? change { $0.removeAll(of: userID) }
    }

    /// Cancels the wake-ups of all other accounts.
    func removeAll(except userIDs: Set<String>) {
        try? change { $0.removeAll(except: userIDs) }
    }

    /// Requests again what is pending, no sooner than after this time: for a task that could not begin its work.
    func postpone(by time: Duration) {
        let soonest = Date(timeIntervalSinceNow: time.timeInterval)
        try? lock.withLock { try request(try Self.read(), soonest: soonest) }
    }

    private func change(_ change: (inout PendingWakeUps) -> Void) throws {
        try lock.withLock {
            var pending = try Self.read()
            change(&pending)
            try Self.write(pending)
            try request(pending, soonest: nil)
        }
    }

    /// Makes the requests that iOS is to have, and cancels the others. Called with the lock.
    private func request(_ pending: PendingWakeUps, soonest: Date?) throws {
        guard identifiers.processing != nil || identifiers.appRefresh != nil else { throw NotRegistered() }
        let scheduler = BGTaskScheduler.shared
        do {
            let plans = pending.plans(mayRefresh: identifiers.appRefresh != nil)
            try scheduler.request(plans, identifiers, soonest: soonest)
        } catch let error as BGTaskScheduler.Error where error.code != .unavailable && identifiers.processing != nil {
            // Another part of the app has taken the only refresh.
            try scheduler.request(pending.plans(mayRefresh: false), identifiers, soonest: soonest)
        }
    }

    // MARK: The file

    private static func read() throws -> PendingWakeUps {
        let data: Data
        do {
            data = try Data(contentsOf: file())
        } catch CocoaError.fileReadNoSuchFile {
            return PendingWakeUps()
        }
        // A file of another version counts as none: each account asks again when it is opened.
        return (try? JSONDecoder().decode(PendingWakeUps.self, from: data)) ?? PendingWakeUps()
    }

    private static func write(_ pending: PendingWakeUps) throws {
        let file = try file()
        try FileManager.default.createPrivateDirectory(at: file.deletingLastPathComponent())
        try JSONEncoder().encode(pending).write(
            to: file, options: [.atomic, .completeFileProtectionUntilFirstUserAuthentication])
    }

    static func file() throws -> URL {
        try FileManager.default.privateDirectory().appendingPathComponent("wake-ups.json")
    }
}

extension BGTaskScheduler {
    fileprivate func request(
        _ plans: [BackgroundTaskPlan],
        _ identifiers: BackgroundScheduler.Registered,
        soonest: Date?
    ) throws {
        let processing = plans.first { $0.kind == .processing }
        if let identifier = identifiers.appRefresh {
            // Of little use for a large download, but all there is.
            let instead = identifiers.processing == nil ? processing : nil
            try request(plans.first { $0.kind == .appRefresh } ?? instead, soonest: soonest, identifier) {
                BGAppRefreshTaskRequest(identifier: identifier)
            }
        }
        if let identifier = identifiers.processing {
            try request(processing, soonest: soonest, identifier) {
                let request = BGProcessingTaskRequest(identifier: identifier)
                request.requiresNetworkConnectivity = processing?.requiresNetworkConnectivity ?? false
                request.requiresExternalPower = processing?.requiresExternalPower ?? false
                return request
            }
        }
    }

    private func request(
        _ plan: BackgroundTaskPlan?,
        soonest: Date?,
        _ identifier: String,
        _ make: () -> BGTaskRequest
    ) throws {
        guard let plan else { return cancel(taskRequestWithIdentifier: identifier) }
        let request = make()
        request.earliestBeginDate = max(plan.earliestBegin, soonest ?? .distantPast)
        try submit(request)
    }
}
#endif
