import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

extension HTTPURLResponse {
    /// The status and headers as the Rust crate takes them.
    var head: TransportHead {
        TransportHead(
            status: UInt16(clamping: statusCode),
            headers: allHeaderFields.map { TransportHeader(name: "\($0.key)", value: "\($0.value)") }
        )
    }

    /// The number of bytes that the body will have; `nil` if that is not known. The header has the length of the
    /// encoded body, but the session returns the decoded one.
    var announcedLength: Int64? {
        let encoding = value(forHTTPHeaderField: "Content-Encoding") ?? "identity"
        guard encoding == "identity" else { return nil }
        return value(forHTTPHeaderField: "Content-Length").flatMap { Int64($0) }
    }
}
