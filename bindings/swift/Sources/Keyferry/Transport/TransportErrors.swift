import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import KeyferryFFI

extension TransportError {
    /// Translates an error of URLSession.
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
        // FoundationNetworking reports `.unknown` for a body that is cut before its announced end.
        case .networkConnectionLost, .unknown:
            self = .Interrupted
        case .secureConnectionFailed, .serverCertificateHasBadDate, .serverCertificateUntrusted,
            .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid, .clientCertificateRejected,
            .clientCertificateRequired:
            self = .Tls
        case .cancelled:
            self = .Closed
        default:
            // Only the code, because the description names the URL.
            self = .Failed(detail: "URLError \(error.code.rawValue)")
        }
    }
}
