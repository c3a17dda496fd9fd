import Foundation
import KeyferryFFI

// Errors appear as the sentences that the Rust crate has for them, in `localizedDescription` and where they are
// printed. The data of an error is left out: the detail of a callback's failure comes from the app, and may hold
// anything.

extension ExportError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension HostError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension LookupError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension OnDemandError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension OpenError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension PreferenceError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension SinkError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension StatusError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension TransportError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}

extension UnlockError: LocalizedError, CustomStringConvertible {
    /// A sentence that says what went wrong.
    public var errorDescription: String? { description }
}
