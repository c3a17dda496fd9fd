import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import KeyferryFFI

extension TransportError {
    /// The reason behind an error of URLSession.
    init(_ error: any Error) {
        guard let error = error as? URLError else {
            self = .Failed(detail: String(describing: type(of: error)))
            return
        }
        switch error.code {
        case .notConnectedToInternet, .cannotFindHost, .cannotConnectToHost, .dnsLookupFailed, .dataNotAllowed,
            .internationalRoamingOff, .callIsActive:
            self = .Offline
        case .timedOut:
            self = .Timeout
        // FoundationNetworking calls a body "unknown" that is cut before its announced end.
        case .networkConnectionLost, .unknown:
            self = .Interrupted
        case .secureConnectionFailed, .serverCertificateHasBadDate, .serverCertificateUntrusted,
            .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid, .clientCertificateRejected,
            .clientCertificateRequired:
            self = .Tls
        case .cancelled:
            self = .Closed
        default:
            // The code only: the description names the URL.
            self = .Failed(detail: "URLError \(error.code.rawValue)")
        }
    }
}
