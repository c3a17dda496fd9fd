import Foundation

/// Ends a call into the library when its task is cancelled, as long as the library works on it.
///
/// The generated code uses it. UniFFI 0.32 has the function that ends a call, and does not use it in Swift.
final class FutureCancellation: @unchecked Sendable {
    private let lock = NSLock()
    private let future: UInt64
    /// `nil`: the call ignores a cancellation, or is over.
    private var end: (@Sendable (UInt64) -> Void)?

    init(of future: UInt64, by end: (@Sendable (UInt64) -> Void)?) {
        self.future = future
        self.end = end
    }

    func cancel() {
        lock.withLock { end?(future) }
    }

    /// Notes that the library is about to forget the call.
    func markOver() {
        lock.withLock { end = nil }
    }
}
