#if canImport(Network) && canImport(UIKit) && !os(watchOS)
import Foundation
import KeyferryFFI
import Network
import UIKit

/// Tells the download how the phone is, for as long as this object lives: without a network, on a metered one (cellular,
/// a hotspot, low data mode), in low power mode, too warm, or with the app in the background. What each of them stops is in
/// the docs of `PauseCause`.
///
/// `run(in:budget:)` and `runInBackground(budget:)` work while the app is in the background; `run(budget:)` does not. An app
/// whose policy waits for the charger reports `notCharging` itself: that needs battery monitoring, which is the app's to
/// switch on.
public final class PhoneConditions: @unchecked Sendable {
    private let reporter: ConditionReporter
    private let network: NWPathMonitor
    private let observers: [any NSObjectProtocol]

    /// Begins to tell.
    ///
    /// - Parameters:
    ///   - backup: Whose download is told.
    ///   - vaultIsClosedWhileLocked: Whether the vault's files cannot be read while the phone is locked. They can by
    ///     default, after its first unlock, and should: a locked phone is when the OS has time for us.
    @MainActor
    public init(of backup: KeyBackup, vaultIsClosedWhileLocked: Bool = false) {
        let reporter = backup.conditionReporter()
        let network = NWPathMonitor()
        network.pathUpdateHandler = { path in
            reporter.report(.offline, holds: path.status == .unsatisfied)
            reporter.report(.meteredNetwork, holds: path.isExpensive || path.isConstrained)
        }
        let tellPower: @Sendable () -> Void = {
            reporter.report(.lowPower, holds: ProcessInfo.processInfo.isLowPowerModeEnabled)
        }
        let tellHeat: @Sendable () -> Void = {
            let heat = ProcessInfo.processInfo.thermalState
            reporter.report(.thermal, holds: heat == .serious || heat == .critical)
        }
        tellPower()
        // Looked at before it is listened for: else the notification does not come.
        tellHeat()
        var observers = [
            PhoneConditions.observe(.NSProcessInfoPowerStateDidChange, tellPower),
            PhoneConditions.observe(ProcessInfo.thermalStateDidChangeNotification, tellHeat),
            PhoneConditions.observe(UIApplication.didEnterBackgroundNotification) {
                reporter.report(.inBackground, holds: true)
            },
            PhoneConditions.observe(UIApplication.willEnterForegroundNotification) {
                reporter.report(.inBackground, holds: false)
            },
        ]
        if vaultIsClosedWhileLocked {
            observers += [
                PhoneConditions.observe(UIApplication.protectedDataWillBecomeUnavailableNotification) {
                    reporter.report(.storageLocked, holds: true)
                },
                PhoneConditions.observe(UIApplication.protectedDataDidBecomeAvailableNotification) {
                    reporter.report(.storageLocked, holds: false)
                },
            ]
        }
        self.reporter = reporter
        self.network = network
        self.observers = observers
        network.start(queue: .global(qos: .utility))
    }

    deinit {
        network.cancel()
        for observer in observers { NotificationCenter.default.removeObserver(observer) }
    }

    private static func observe(
        _ name: Notification.Name,
        _ tell: @escaping @Sendable () -> Void
    ) -> any NSObjectProtocol {
        NotificationCenter.default.addObserver(forName: name, object: nil, queue: nil) { _ in tell() }
    }
}
#endif
