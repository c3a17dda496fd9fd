import Foundation

/// Keeps the largest value that was ever noted.
final class HighWaterMark: @unchecked Sendable {
    private let lock = NSLock()
    private var highest = 0

    /// The largest value so far.
    var value: Int {
        lock.withLock { highest }
    }

    /// Notes a value.
    func note(_ value: Int) {
        lock.withLock { highest = max(highest, value) }
    }
}
