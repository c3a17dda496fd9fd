import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Sends HTTP requests by URLSession.
///
/// It reads a body no faster than the body is asked for: at most about 256 KiB wait in memory. Redirects are not
/// followed, nothing is cached, and no cookie or credential is kept or sent.
///
/// Each exchange under way has its own session. Sessions are reused, and their connections with them.
///
/// On Linux all sessions of a process read on one thread. There a body whose reader is slow delays every other
/// request of the process until it is read further or cancelled, and a body that is not being read yet waits in a
/// temporary file.
public final class URLSessionTransport: HttpTransport, @unchecked Sendable {
    private let configuration: URLSessionConfiguration
    private let lock = NSLock()
    private var idle: [URLSessionLane] = []
    /// How often idle sessions were closed. A session that was begun before the last time is not kept.
    private var closings = 0
    /// The most bytes of one body that have ever waited in memory.
    let mostBuffered = HighWaterMark()

    /// Makes a transport.
    ///
    /// - Parameter configuration: The app's settings for sessions, such as `waitsForConnectivity` or cellular use.
    ///   The transport sets cache, cookies, credentials and timeouts itself. It must not be a background
    ///   configuration.
    public init(configuration: URLSessionConfiguration = .ephemeral) {
        // Never nil: the copy of a configuration is a configuration.
        let own = (configuration.copy() as? URLSessionConfiguration) ?? .ephemeral
        own.rememberNothing()
        self.configuration = own
    }

    deinit {
        idle.forEach { $0.invalidate() }
    }

    /// Begins a request and returns at once. Called by the Rust crate.
    ///
    /// - Throws: `TransportError.failed` if the URL is invalid.
    public func start(request: TransportRequest) throws -> HttpExchange {
        guard let url = URL(string: request.url) else {
            throw TransportError.failed(detail: "the URL is invalid")
        }
        var outgoing = URLRequest(url: url)
        outgoing.httpMethod = request.method.name
        outgoing.httpBody = request.body
        outgoing.httpShouldHandleCookies = false
        // The exchange measures the idle time itself, so that a body that waits for its reader does not count as
        // silent.
        outgoing.timeoutInterval = 24 * 60 * 60
        for header in request.headers {
            outgoing.setValue(header.value, forHTTPHeaderField: header.name)
        }
        let (kept, closings) = lock.withLock { (idle.popLast(), self.closings) }
        let lane = kept ?? URLSessionLane(configuration: configuration)
        let idleTimeout = request.idleTimeout.timeInterval
        let exchange = URLSessionExchange(idleTimeout: idleTimeout, mostBuffered: mostBuffered)
        let request = outgoing
        // FoundationNetworking creates a task only when its reading thread is free, and `start` must not wait.
        DispatchQueue.global().async {
            lane.begin(request, for: exchange) { [weak self, unowned lane] in
                if self?.keep(lane, since: closings) != true { lane.invalidate() }
            }
        }
        return exchange
    }

    /// Closes connections that were kept open for another request. Requests under way continue, and close theirs at
    /// their end. Called by the Rust crate.
    public func closeIdle() throws {
        let lanes = lock.withLock { () -> [URLSessionLane] in
            closings += 1
            defer { idle = [] }
            return idle
        }
        lanes.forEach { $0.invalidate() }
    }

    /// The number of sessions that wait for another request.
    var idleSessions: Int {
        lock.withLock { idle.count }
    }

    private func keep(_ lane: URLSessionLane, since closings: Int) -> Bool {
        lock.withLock {
            guard closings == self.closings else { return false }
            idle.append(lane)
            return true
        }
    }
}

extension URLSessionConfiguration {
    /// Keeps sessions from caching answers, and from keeping or sending cookies and credentials.
    func rememberNothing() {
        urlCache = nil
        requestCachePolicy = .reloadIgnoringLocalCacheData
        httpCookieStorage = nil
        httpCookieAcceptPolicy = .never
        httpShouldSetCookies = false
        urlCredentialStorage = nil
    }
}

private extension TransportMethod {
    var name: String {
        switch self {
        case .get: return "GET"
        case .put: return "PUT"
        case .post: return "POST"
        case .delete: return "DELETE"
        }
    }
}
