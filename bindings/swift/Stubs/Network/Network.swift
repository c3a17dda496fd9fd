// A stub of Apple's Network, as far as the package uses it.

import AppleFoundation

public struct NWPath: Sendable {
    public enum Status: Sendable {
        case satisfied, unsatisfied, requiresConnection
    }

    public var status: Status
    public var isExpensive: Bool
    public var isConstrained: Bool

    public init(status: Status, isExpensive: Bool = false, isConstrained: Bool = false) {
        self.status = status
        self.isExpensive = isExpensive
        self.isConstrained = isConstrained
    }
}

public final class NWPathMonitor: @unchecked Sendable {
    /// The monitors that are started, for a test to tell.
    public static var started: [NWPathMonitor] { lock.withLock { monitors } }

    private static let lock = NSLock()
    nonisolated(unsafe) private static var monitors: [NWPathMonitor] = []

    public var pathUpdateHandler: (@Sendable (NWPath) -> Void)?

    public init() {}

    public func start(queue: DispatchQueue) {
        NWPathMonitor.lock.withLock { NWPathMonitor.monitors.append(self) }
    }

    public func cancel() {
        NWPathMonitor.lock.withLock { NWPathMonitor.monitors.removeAll { $0 === self } }
    }
}
