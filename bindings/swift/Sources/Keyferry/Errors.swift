import Foundation
import KeyferryFFI

// Errors are told in the sentences that the Rust crate has for them: as `localizedDescription`, and where they are printed.
// What an error holds is left out: the detail of a callback's failure is the app's own, and may hold anything.

extension ExportError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension HostError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension LookupError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension OnDemandError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension OpenError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension PreferenceError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension SinkError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension StatusError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension TransportError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}

extension UnlockError: LocalizedError, CustomStringConvertible {
    /// Tells what went wrong.
    public var errorDescription: String? { description }
}
