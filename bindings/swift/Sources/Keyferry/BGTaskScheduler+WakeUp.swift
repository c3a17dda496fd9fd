#if canImport(BackgroundTasks) && !os(macOS) && !os(watchOS)
import BackgroundTasks
import Foundation
import KeyferryFFI

/// Under which identifiers the app has registered its launch handlers for one purpose. They are in Info.plist, below
/// `BGTaskSchedulerPermittedIdentifiers`, with the background modes `fetch` and `processing`.
public struct BackgroundTaskIdentifiers: Sendable {
    /// Of the processing task.
    public let processing: String
    /// Of the refresh, if there is one. iOS keeps one request for a refresh for the whole app: give it to one purpose at
    /// most, and to none in an app that refreshes itself.
    public let appRefresh: String?

    /// Names them.
    public init(processing: String, appRefresh: String? = nil) {
        self.processing = processing
        self.appRefresh = appRefresh
    }
}

extension BGTaskScheduler {
    /// Asks for a wake-up, in the place of the one that was asked for last; `nil` cancels that.
    ///
    /// ```swift
    /// scheduleWakeUp: { purpose, wakeUp in
    ///     try BGTaskScheduler.shared.keep(wakeUp, as: purpose == .download ? downloadTasks : preferenceTasks)
    /// }
    /// ```
    ///
    /// - Throws: What `submit` throws: in the simulator, where the user has switched background refresh off, and for
    ///   identifiers that are not in Info.plist.
    public func keep(_ wakeUp: WakeUp?, as identifiers: BackgroundTaskIdentifiers) throws {
        guard let wakeUp else {
            cancel(taskRequestWithIdentifier: identifiers.processing)
            cancelRefresh(identifiers)
            return
        }
        let plan = BackgroundTaskPlan(wakeUp, mayRefresh: identifiers.appRefresh != nil)
        if plan.kind == .appRefresh, let identifier = identifiers.appRefresh {
            do {
                try submit(plan.appRefresh(identifier))
                cancel(taskRequestWithIdentifier: identifiers.processing)
                return
            } catch let error as BGTaskScheduler.Error where error.code == .tooManyPendingTaskRequests {
                // Somebody else in the app has the only one.
            }
        }
        try submit(BackgroundTaskPlan(wakeUp, mayRefresh: false).processing(identifiers.processing))
        cancelRefresh(identifiers)
    }

    private func cancelRefresh(_ identifiers: BackgroundTaskIdentifiers) {
        guard let identifier = identifiers.appRefresh else { return }
        cancel(taskRequestWithIdentifier: identifier)
    }
}

extension BackgroundTaskPlan {
    fileprivate func appRefresh(_ identifier: String) -> BGTaskRequest {
        begun(BGAppRefreshTaskRequest(identifier: identifier))
    }

    fileprivate func processing(_ identifier: String) -> BGTaskRequest {
        let request = BGProcessingTaskRequest(identifier: identifier)
        request.requiresNetworkConnectivity = requiresNetworkConnectivity
        request.requiresExternalPower = requiresExternalPower
        return begun(request)
    }

    private func begun(_ request: BGTaskRequest) -> BGTaskRequest {
        request.earliestBeginDate = earliestBegin.map { Date(timeIntervalSinceNow: $0) }
        return request
    }
}
#endif
