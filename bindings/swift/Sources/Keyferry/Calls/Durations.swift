import Foundation

extension Duration {
    /// This time in milliseconds, at least 0.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        // More than any budget, and small enough for the library to add to the time of day.
        let most: Int64 = 100 * 365 * 24 * 60 * 60
        return UInt64(max(0, min(seconds, most))) * 1_000 + UInt64(max(0, attoseconds) / 1_000_000_000_000_000)
    }

    /// This time in seconds, as Foundation counts.
    var timeInterval: TimeInterval {
        TimeInterval(components.seconds) + TimeInterval(components.attoseconds) / 1e18
    }
}

extension Date {
    init(millisecondsSince1970 milliseconds: UInt64) {
        self.init(timeIntervalSince1970: TimeInterval(milliseconds) / 1_000)
    }

    /// This moment in milliseconds, as the library counts; at least 0.
    var millisecondsSince1970: UInt64 {
        UInt64(max(0, (timeIntervalSince1970 * 1_000).rounded()))
    }
}
