#if canImport(BackgroundTasks) && !os(macOS) && !os(watchOS)
import BackgroundTasks
import Foundation
import KeyferryFFI

/// The identifiers under which the app has registered its launch handlers for one purpose. Info.plist must list them
/// under `BGTaskSchedulerPermittedIdentifiers`, and the background modes `fetch` and `processing`.
public struct BackgroundTaskIdentifiers: Sendable {
    /// The identifier of the processing task.
    public let processing: String
    /// The identifier of the refresh task; `nil` if there is none. iOS keeps only one request for a refresh for the
    /// whole app: give an identifier to at most one purpose, and to none in an app that has a refresh task of its
    /// own.
    public let appRefresh: String?

    /// Makes the identifiers of one purpose.
    public init(processing: String, appRefresh: String? = nil) {
        self.processing = processing
        self.appRefresh = appRefresh
    }
}

extension BGTaskScheduler {
    /// Requests a wake-up from iOS in place of the last one; `nil` cancels the last one. ``BackgroundTaskPlan``
    /// decides between a refresh and a processing task.
    ///
    /// ```swift
    /// scheduleWakeUp: { purpose, wakeUp in
    ///     try BGTaskScheduler.shared.keep(wakeUp, as: purpose == .download ? downloadTasks : preferenceTasks)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - wakeUp: The wake-up, as `scheduleWakeUp` of `KeyBackup.open` gets it.
    ///   - identifiers: The identifiers of its purpose.
    /// - Throws: The error of `submit`: in the simulator, if the user has switched background refresh off, and for
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
                // Another part of the app has taken the only refresh: ask for a processing task.
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
