import Foundation
import KeyferryFFI

/// The request to make of iOS for a wake-up: a refresh or a processing task, and its conditions.
/// ``BGTaskScheduler/keep(_:as:)`` makes that request.
///
/// iOS has no condition for an unmetered network. A wake-up that needs one becomes a processing task, and the app
/// reports `meteredNetwork` while it runs, as ``PhoneConditions`` does.
///
/// In the background iOS may kill an app that computes for more than 80 % of a minute; it is meant to spare a
/// processing task that requires external power. Opening keys is such work: for a large backup, allow the download
/// one core (`DownloadPolicy.cores`), or let it wait for the charger (`DownloadPolicy.needsCharging`).
public struct BackgroundTaskPlan: Equatable, Sendable {
    /// A kind of request that iOS takes.
    public enum Kind: Equatable, Sendable {
        /// About 30 seconds, several times a day if the app is used often.
        case appRefresh
        /// Minutes, while the phone is not in use: at night, as a rule.
        case processing
    }

    /// The most bytes that can be expected to arrive in the time of a refresh.
    public static let mostBytesOfARefresh: UInt64 = 5_000_000

    /// The kind of request.
    public let kind: Kind
    /// Seconds from now before which the task is of no use; `nil` if it may begin at once.
    public let earliestBegin: TimeInterval?
    /// Whether the task begins only with a network. Always false for a refresh, which cannot ask for one.
    public let requiresNetworkConnectivity: Bool
    /// Whether the task begins only while charging. Always false for a refresh, which cannot ask for that.
    public let requiresExternalPower: Bool

    /// Plans the request for a wake-up.
    ///
    /// - Parameters:
    ///   - wakeUp: The wake-up that the crate has asked for.
    ///   - mayRefresh: Whether a refresh may be used: iOS keeps only one request of that kind for the whole app.
    public init(_ wakeUp: WakeUp, mayRefresh: Bool = true) {
        let isLarge = wakeUp.needsUnmetered || wakeUp.expectedBytes > Self.mostBytesOfARefresh
        let refreshes = mayRefresh && !wakeUp.needsCharging && !isLarge
        kind = refreshes ? .appRefresh : .processing
        earliestBegin = wakeUp.notBeforeMs == 0 ? nil : TimeInterval(wakeUp.notBeforeMs) / 1000
        requiresNetworkConnectivity = !refreshes && (wakeUp.needsNetwork || wakeUp.needsUnmetered)
        requiresExternalPower = !refreshes && wakeUp.needsCharging
    }
}
