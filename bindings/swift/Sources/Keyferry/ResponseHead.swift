import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import KeyferryFFI

extension HTTPURLResponse {
    /// Status and headers as the Rust crate takes them.
    var head: HttpHead {
        HttpHead(
            status: UInt16(clamping: statusCode),
            headers: allHeaderFields.map { HttpHeader(name: "\($0.key)", value: "\($0.value)") }
        )
    }

    /// How many bytes the body will have, if that can be told: the length is that of the encoded body, and what the
    /// session hands out is decoded.
    var announcedLength: Int64? {
        let encoding = value(forHTTPHeaderField: "Content-Encoding") ?? "identity"
        guard encoding == "identity" else { return nil }
        return value(forHTTPHeaderField: "Content-Length").flatMap { Int64($0) }
    }
}
