
/// The record of a download, kept beside its file.
struct FileDownloadRecord: Codable, Equatable {
    /// How far a download is.
    enum Stage: Codable, Equatable {
        case underWay
        case ended(status: UInt16, headers: [Header])
        case failed(Failure)
    }

    /// One header of the answer.
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
    /// Makes the stage of a download whose answer is here. Cookies are left out: they are secrets that nothing uses.
    init(_ head: TransportHead) {
        let kept = head.headers.filter { $0.name.lowercased() != "set-cookie" }
        let headers = kept.map { FileDownloadRecord.Header(name: $0.name, value: $0.value) }
        self = .ended(status: head.status, headers: headers)
    }

    /// Returns the state as the Rust crate takes it, with the body in the file at `path`.
    func told(path: String) -> FileDownload {
        switch self {
        case .underWay:
            return .underWay
        case .ended(let status, let headers):
            let head = TransportHead(status: status, headers: headers.map { TransportHeader(name: $0.name, value: $0.value) })
            return .ended(head: head, path: path)
        case .failed(let failure):
            return .failed(error: failure.error)
        }
    }
}

extension FileDownloadRecord.Failure {
    init(_ error: TransportError) {
        switch error {
        case .offline: self = .offline
        case .timeout: self = .timeout
        // Ended by the OS, perhaps because the user removed the app from the app switcher: it may be begun again.
        case .interrupted, .closed: self = .interrupted
        case .tls: self = .tls
        case .failed(let detail): self = .other(detail: detail)
        }
    }

    var error: TransportError {
        switch self {
        case .offline: .offline
        case .timeout: .timeout
        case .interrupted: .interrupted
        case .tls: .tls
        case .other(let detail): .failed(detail: detail)
        }
    }
}
