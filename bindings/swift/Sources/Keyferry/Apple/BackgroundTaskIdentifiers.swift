#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import Foundation

/// The identifiers of the tasks that iOS starts for the key backup. Info.plist lists them under
/// `BGTaskSchedulerPermittedIdentifiers`, and the background modes `fetch` and `processing` under `UIBackgroundModes`.
public struct BackgroundTaskIdentifiers: Equatable, Sendable {
    /// The identifier of the processing task: minutes, while the phone is not in use.
    public let processing: String
    /// The identifier of the refresh task: about 30 seconds. iOS keeps only one request for a refresh for the whole app:
    /// `nil` in an app that has a refresh task of its own.
    public let appRefresh: String?
    /// The beginning of the identifiers of tasks that continue, from iOS 26 on, what the user has started on screen: it
    /// begins with the app's bundle identifier, each task adds a part of its own, and Info.plist has it with `.*` at the
    /// end. `nil`: such a download stops when the user leaves the app, and continues in the other tasks.
    public let continued: String?

    /// Makes identifiers of the app's own.
    public init(processing: String, appRefresh: String?, continued: String?) {
        self.processing = processing
        self.appRefresh = appRefresh
        self.continued = continued
    }

    /// The bundle identifier of the app, followed by `.keyferry.processing`, `.keyferry.refresh` and
    /// `.keyferry.download`; the last one is `.keyferry.download.*` in Info.plist.
    public static var standard: BackgroundTaskIdentifiers {
        let app = Bundle.main.bundleIdentifier ?? ""
        return BackgroundTaskIdentifiers(
            processing: app + ".keyferry.processing",
            appRefresh: app + ".keyferry.refresh",
            continued: app + ".keyferry.download"
        )
    }
}
#endif
