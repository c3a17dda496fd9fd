import Foundation
import KeyferryFFI

extension RunBudget {
    /// No limit for `nil`, and for what is not finite.
    init(seconds: TimeInterval?) {
        self.init(maxDurationMs: seconds.flatMap { $0.isFinite ? UInt64(max(0, $0) * 1000) : nil })
    }
}
