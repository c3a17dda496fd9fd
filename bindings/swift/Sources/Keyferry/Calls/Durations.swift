import Foundation

extension Duration {
    /// This time in milliseconds, at least 0.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        let whole = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000)
        return whole.overflow ? .max : whole.partialValue + UInt64(clamping: attoseconds / 1_000_000_000_000_000)
    }

    /// This time in seconds, as Foundation counts.
    var timeInterval: TimeInterval {
        TimeInterval(components.seconds) + TimeInterval(components.attoseconds) / 1e18
    }
}

extension RunBudget {
    /// `nil`: no limit.
    init(_ duration: Duration?) {
        self.init(maxDurationMs: duration?.milliseconds)
    }
}

extension WakeUp {
    /// Time from now before which the wake-up is of no use.
    public var notBefore: Duration { .milliseconds(notBeforeMs) }
}

extension DownloadProgress {
    /// Time left in the current stage, at the rate of the last 3 seconds; `nil` if that is not known.
    public var timeLeft: Duration? { timeLeftMs.map { .milliseconds($0) } }
}

extension TransportRequest {
    /// Time without any data after which the request has failed.
    public var idleTimeout: Duration { .milliseconds(idleTimeoutMs) }
}
