// The records, enums and errors of the Rust crate are part of this package's interface.
@_exported import KeyferryFFI
