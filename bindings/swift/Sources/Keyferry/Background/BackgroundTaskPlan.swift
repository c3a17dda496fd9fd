import Foundation

/// The request to make of iOS for wake-ups: a refresh or a processing task, and its conditions.
///
/// iOS has no condition for an unmetered network. A wake-up that needs one becomes a processing task, and the cause
/// `meteredNetwork` is reported while it runs, by ``PhoneConditions``. A reset always gets a processing task: it creates the
/// new version only with a minute left, which a refresh never has.
///
/// In the background iOS may kill an app that computes for more than 80 % of a minute; it is meant to spare a processing
/// task that requires external power. Opening keys is such work: for a large backup, allow the download one core
/// (`DownloadPolicy.cores`), or let it wait for the charger (`DownloadPolicy.needsCharging`).
struct BackgroundTaskPlan: Equatable, Sendable {
    /// A kind of request that iOS takes.
    enum Kind: Equatable, Sendable {
        /// About 30 seconds, several times a day if the app is used often.
        case appRefresh
        /// Minutes, while the phone is not in use: at night, as a rule.
        case processing
    }

    /// The most bytes that can be expected to arrive in the time of a refresh.
    static let mostBytesOfARefresh: UInt64 = 5_000_000

    /// The kind of request.
    let kind: Kind
    /// The moment before which the task is of no use.
    var earliestBegin: Date
    /// Whether the task begins only with a network. Always false for a refresh, which cannot ask for one.
    var requiresNetworkConnectivity: Bool
    /// Whether the task begins only while charging. Always false for a refresh, which cannot ask for that.
    var requiresExternalPower: Bool

    /// Plans the request for one wake-up.
    ///
    /// - Parameters:
    ///   - wakeUp: The wake-up.
    ///   - mayRefresh: Whether a refresh may be used: iOS keeps only one request of that kind for the whole app.
    init(_ wakeUp: PendingWakeUps.Entry, mayRefresh: Bool) {
        let isLarge = wakeUp.needsUnmetered || wakeUp.expectedBytes > Self.mostBytesOfARefresh
        let refreshes = mayRefresh && !wakeUp.needsCharging && !isLarge && wakeUp.purpose != .reset
        kind = refreshes ? .appRefresh : .processing
        earliestBegin = wakeUp.notBefore
        requiresNetworkConnectivity = !refreshes && (wakeUp.needsNetwork || wakeUp.needsUnmetered)
        requiresExternalPower = !refreshes && wakeUp.needsCharging
    }

    /// Takes in another wake-up of the same kind: the task begins when the first of them can.
    mutating func include(_ other: BackgroundTaskPlan) {
        earliestBegin = min(earliestBegin, other.earliestBegin)
        requiresNetworkConnectivity = requiresNetworkConnectivity && other.requiresNetworkConnectivity
        requiresExternalPower = requiresExternalPower && other.requiresExternalPower
    }
}
