import Foundation

extension URL {
    /// Whether an answer from `other` is the answer to a request for this URL, and not to a redirect: a background
    /// session follows redirects without asking. An upgrade from http to https does not count as a redirect.
    func isAnswered(from other: URL?) -> Bool {
        guard
            let asked = URLComponents(url: self, resolvingAgainstBaseURL: true),
            let answered = other.flatMap({ URLComponents(url: $0, resolvingAgainstBaseURL: true) })
        else { return false }
        let schemes = (asked.scheme?.lowercased(), answered.scheme?.lowercased())
        let isSecured = schemes == ("http", "https")
        return (schemes.0 == schemes.1 || isSecured)
            && asked.host?.lowercased() == answered.host?.lowercased()
            && (asked.port == answered.port || isSecured)
            && asked.percentEncodedPath == answered.percentEncodedPath
            && asked.percentEncodedQuery == answered.percentEncodedQuery
    }
}
