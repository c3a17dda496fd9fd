#if canImport(AppleFoundation)
import AppleFoundation
import Network
import UIKit
import XCTest

@testable import Keyferry

final class PhoneConditionsTests: ApplePhone {
    func testConditionsAreReportedUntilTheBackupIsClosed() async throws {
        let homeserver = try newHomeserver(keys: 1)
        defer { homeserver.stop() }
        let backup = try await unlocked(homeserver)
        // A metered network holds a download of which more is left than this.
        backup.setPolicy(DownloadPolicy(meteredBytes: 0))
        try await homeserver.stallKeys()
        _ = try await notHanging { await backup.run(budget: .seconds(1)) }
        let network = try XCTUnwrap(NWPathMonitor.started.last)
        let center = NotificationCenter.default
        func tell(_ path: NWPath) { network.pathUpdateHandler?(path) }

        tell(NWPath(status: .unsatisfied))
        try await hold([.offline], backup)
        tell(NWPath(status: .satisfied, isExpensive: true))
        try await hold([.meteredNetwork], backup)
        tell(NWPath(status: .satisfied, isConstrained: true))
        try await hold([.meteredNetwork], backup)
        tell(NWPath(status: .satisfied))
        try await hold([], backup)

        Hardware.isLowPowerModeEnabled = true
        center.post(name: .NSProcessInfoPowerStateDidChange, object: nil)
        try await hold([.lowPower], backup)
        Hardware.thermalState = .critical
        center.post(name: ProcessInfo.thermalStateDidChangeNotification, object: nil)
        try await hold([.lowPower, .thermal], backup)
        Hardware.isLowPowerModeEnabled = false
        Hardware.thermalState = .fair
        center.post(name: .NSProcessInfoPowerStateDidChange, object: nil)
        center.post(name: ProcessInfo.thermalStateDidChangeNotification, object: nil)
        try await hold([], backup)

        center.post(name: UIApplication.didEnterBackgroundNotification, object: nil)
        try await hold([.inBackground], backup)
        center.post(name: UIApplication.willEnterForegroundNotification, object: nil)
        try await hold([], backup)

        backup.close()
        XCTAssertFalse(NWPathMonitor.started.contains { $0 === network })
    }

    func testAProcessThatIosStartsInTheBackgroundIsInTheBackground() async throws {
        await MainActor.run { UIApplication.shared.applicationState = .background }
        let backup = try await openByDefault(newKeptHomeserver(keys: 1))
        try await hold([.inBackground], backup)
        try await eventually("the screen would say so") { backup.state.activity == .paused(causes: [.inBackground]) }
    }

    func testAVaultThatIsClosedWhileThePhoneIsLockedIsToldApart() async throws {
        let backup = try await open(newHomeserver(keys: 1), in: newDirectory())
        let conditions = await PhoneConditions(of: backup, vaultIsClosedWhileLocked: true)
        NotificationCenter.default.post(name: UIApplication.protectedDataWillBecomeUnavailableNotification, object: nil)
        try await eventually("the vault is closed") { (try? await backup.status())?.causes ?? [.storageLocked] == [.storageLocked] }
        NotificationCenter.default.post(name: UIApplication.protectedDataDidBecomeAvailableNotification, object: nil)
        try await hold([], backup)
        withExtendedLifetime(conditions) { backup.close() }
    }

    private func hold(_ causes: Set<PauseCause>, _ backup: KeyBackup) async throws {
        try await eventually("\(causes)") { Set(try await backup.status().causes) == causes }
    }
}
#endif
