import Foundation
import KeyferryFFI

extension RunBudget {
    /// Makes a budget of that many seconds. `nil` and values that are not finite mean no limit.
    init(seconds: TimeInterval?) {
        self.init(maxDurationMs: seconds.flatMap { $0.isFinite ? UInt64(max(0, $0) * 1000) : nil })
    }
}
