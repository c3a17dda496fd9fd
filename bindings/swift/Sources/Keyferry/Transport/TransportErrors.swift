import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

extension TransportError {
    /// Translates an error of URLSession.
    init(_ error: any Error) {
        guard let error = error as? URLError else {
            self = .failed(detail: String(describing: type(of: error)))
            return
        }
        switch error.code {
        case .notConnectedToInternet, .cannotFindHost, .cannotConnectToHost, .dnsLookupFailed, .dataNotAllowed,
            .internationalRoamingOff, .callIsActive:
            self = .offline
        case .timedOut:
            self = .timeout
        // FoundationNetworking reports `.unknown` for a body that is cut before its announced end.
        case .networkConnectionLost, .unknown:
            self = .interrupted
        case .secureConnectionFailed, .serverCertificateHasBadDate, .serverCertificateUntrusted,
            .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid, .clientCertificateRejected,
            .clientCertificateRequired, .appTransportSecurityRequiresSecureConnection:
            self = .tls
        case .cancelled:
            self = .closed
        default:
            // Only the code, because the description names the URL.
            self = .failed(detail: "URLError \(error.code.rawValue)")
        }
    }
}
