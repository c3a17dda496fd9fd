import Foundation
import KeyferryFFI

/// Which request to make of iOS for a wake-up.
///
/// iOS knows no network that is not metered as a condition: a wake-up that wants one becomes a processing task, and the app
/// reports `meteredNetwork` while it runs, as `PhoneConditions` does.
///
/// In the background iOS may kill an app that computes for more than 80 % of a minute; a processing task that requires
/// external power is meant to be spared. Opening keys is such work: allow the download one core (`DownloadPolicy.cores`),
/// or let it wait for the charger (`needsCharging`), where a backup is large.
public struct BackgroundTaskPlan: Equatable, Sendable {
    /// The two requests that there are.
    public enum Kind: Equatable, Sendable {
        /// About 30 seconds, several times a day if the app is used often.
        case appRefresh
        /// Minutes, while the phone is not in use: at night, as a rule.
        case processing
    }

    /// What may be expected to come in the time of a refresh, in bytes.
    public static let mostBytesOfARefresh: UInt64 = 5_000_000

    /// Which request.
    public let kind: Kind
    /// Seconds from now before which there is no point in it; `nil`: none.
    public let earliestBegin: TimeInterval?
    /// Only with a network. A refresh cannot ask for that.
    public let requiresNetworkConnectivity: Bool
    /// Only while charging. A refresh cannot ask for that.
    public let requiresExternalPower: Bool

    /// Plans for a wake-up.
    ///
    /// - Parameters:
    ///   - wakeUp: What is wanted.
    ///   - mayRefresh: Whether a refresh is to be had: iOS keeps one request of that kind for the whole app.
    public init(_ wakeUp: WakeUp, mayRefresh: Bool = true) {
        let isLarge = wakeUp.needsUnmetered || wakeUp.expectedBytes > Self.mostBytesOfARefresh
        let refreshes = mayRefresh && !wakeUp.needsCharging && !isLarge
        kind = refreshes ? .appRefresh : .processing
        earliestBegin = wakeUp.notBeforeMs == 0 ? nil : TimeInterval(wakeUp.notBeforeMs) / 1000
        requiresNetworkConnectivity = !refreshes && (wakeUp.needsNetwork || wakeUp.needsUnmetered)
        requiresExternalPower = !refreshes && wakeUp.needsCharging
    }
}
