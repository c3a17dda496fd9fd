// What Apple's Foundation has and that of Linux lacks, as far as the package uses it. A stub: the names and types are
// Apple's, and what is done is what a test sets or reads.

@_exported import Foundation
@_exported import FoundationNetworking

extension Notification.Name {
    public static let NSProcessInfoPowerStateDidChange = Notification.Name("NSProcessInfoPowerStateDidChange")
}

/// What a test sets in place of the hardware.
public enum Hardware {
    nonisolated(unsafe) public static var isLowPowerModeEnabled = false
    nonisolated(unsafe) public static var thermalState = ProcessInfo.ThermalState.nominal
}

extension ProcessInfo {
    public enum ThermalState: Int, Sendable {
        case nominal, fair, serious, critical
    }

    public static let thermalStateDidChangeNotification = Notification.Name("NSProcessInfoThermalStateDidChange")

    public var isLowPowerModeEnabled: Bool { Hardware.isLowPowerModeEnabled }
    public var thermalState: ThermalState { Hardware.thermalState }
}
