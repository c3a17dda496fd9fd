import KeyferryFFI

/// What is kept of a download beside its file.
struct FileDownloadRecord: Codable, Equatable {
    /// How far it is.
    enum Stage: Codable, Equatable {
        case underWay
        case ended(status: UInt16, headers: [Header])
        case failed(Failure)
    }

    /// A header of the answer.
    struct Header: Codable, Equatable {
        let name: String
        let value: String
    }

    /// Why there is no answer.
    enum Failure: Codable, Equatable {
        case offline
        case timeout
        case interrupted
        case tls
        case other(detail: String)
    }

    let ticket: FileDownloadTicket
    var stage: Stage
}

extension FileDownloadRecord.Stage {
    /// The answer is there. Cookies are not kept: nobody wants them, and they are secrets.
    init(_ head: HttpHead) {
        let kept = head.headers.filter { $0.name.lowercased() != "set-cookie" }
        let headers = kept.map { FileDownloadRecord.Header(name: $0.name, value: $0.value) }
        self = .ended(status: head.status, headers: headers)
    }

    /// What the Rust crate is told, with the body in that file.
    func told(path: String) -> FileDownload {
        switch self {
        case .underWay:
            return .underWay
        case .ended(let status, let headers):
            let head = HttpHead(status: status, headers: headers.map { HttpHeader(name: $0.name, value: $0.value) })
            return .ended(head: head, path: path)
        case .failed(let failure):
            return .failed(error: failure.error)
        }
    }
}

extension FileDownloadRecord.Failure {
    init(_ error: TransportError) {
        switch error {
        case .Offline: self = .offline
        case .Timeout: self = .timeout
        // Given up by the OS, or because the user has removed the app from the switcher: it may be begun again.
        case .Interrupted, .Closed: self = .interrupted
        case .Tls: self = .tls
        case .Failed(let detail): self = .other(detail: detail)
        }
    }

    var error: TransportError {
        switch self {
        case .offline: .Offline
        case .timeout: .Timeout
        case .interrupted: .Interrupted
        case .tls: .Tls
        case .other(let detail): .Failed(detail: detail)
        }
    }
}
