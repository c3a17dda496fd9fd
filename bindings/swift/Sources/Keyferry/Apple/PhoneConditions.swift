#if canImport(Network) && canImport(UIKit) && !os(watchOS)
#if canImport(AppleFoundation)
import AppleFoundation
#endif
import Foundation
import Network
import UIKit

/// Reports the conditions of the phone to the download for as long as this object lives: no network, a metered one
/// (cellular, a hotspot, Low Data Mode), Low Power Mode, heat, and the app in the background.
/// `docs/background-execution.md` has a table of the work that each condition stops.
///
/// ```swift
/// let conditions = await PhoneConditions(of: backup) // keep it with the backup
/// ```
///
/// `KeyBackup.open` makes one. ``KeyBackupProtocol/runInBackground(budget:)`` works while the app is in the background;
/// ``KeyBackupProtocol/run(budget:)`` does not. An app whose policy waits for the charger must report `notCharging`
/// itself, because that needs battery monitoring, which only the app may switch on.
public final class PhoneConditions: @unchecked Sendable {
    private let reporter: ConditionReporter
    private let network: NWPathMonitor
    private let observers: [any NSObjectProtocol]

    /// Begins to report.
    ///
    /// - Parameters:
    ///   - backup: The backup whose download gets the reports.
    ///   - vaultIsClosedWhileLocked: Whether the vault's files cannot be read while the phone is locked;
    ///     `storageLocked` is reported then. By default they can be read after the phone's first unlock, and should
    ///     be, because the OS grants most time while the phone is locked.
    @MainActor
    public init(of backup: KeyBackup, vaultIsClosedWhileLocked: Bool = false) {
        let reporter = backup.conditionReporter()
        // One after the other, so that the last report is the true one.
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = 1
        queue.qualityOfService = .utility
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
        // Read before it is observed: otherwise the notification is not sent.
        tellHeat()
        func observe(_ name: Notification.Name, _ tell: @escaping @Sendable () -> Void) -> any NSObjectProtocol {
            NotificationCenter.default.addObserver(forName: name, object: nil, queue: queue) { _ in tell() }
        }
        var observers = [
            observe(.NSProcessInfoPowerStateDidChange, tellPower),
            observe(ProcessInfo.thermalStateDidChangeNotification, tellHeat),
            observe(UIApplication.didEnterBackgroundNotification) { reporter.report(.inBackground, holds: true) },
            observe(UIApplication.willEnterForegroundNotification) { reporter.report(.inBackground, holds: false) },
            // An app with scenes may be "in the background" while it is launched.
            observe(UIApplication.didBecomeActiveNotification) { reporter.report(.inBackground, holds: false) },
        ]
        // What has changed since they were read.
        queue.addOperation(tellPower)
        queue.addOperation(tellHeat)
        if PhoneConditions.isInBackground { reporter.report(.inBackground, holds: true) }
        if vaultIsClosedWhileLocked {
            observers += [
                observe(UIApplication.protectedDataWillBecomeUnavailableNotification) {
                    reporter.report(.storageLocked, holds: true)
                },
                observe(UIApplication.protectedDataDidBecomeAvailableNotification) {
                    reporter.report(.storageLocked, holds: false)
                },
            ]
        }
        self.reporter = reporter
        self.network = network
        self.observers = observers
        network.start(queue: DispatchQueue(label: "io.keyferry.network", qos: .utility))
    }

    /// Whether iOS has started this process for work in the background. An app extension has no application.
    @MainActor
    private static var isInBackground: Bool {
        !Bundle.main.bundlePath.hasSuffix(".appex") && UIApplication.shared.applicationState == .background
    }

    deinit {
        network.cancel()
        for observer in observers { NotificationCenter.default.removeObserver(observer) }
    }
}
#endif
