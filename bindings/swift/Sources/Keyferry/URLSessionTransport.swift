import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import KeyferryFFI

/// Speaks HTTP by URLSession.
///
/// A body is read no faster than it is asked for: at most about 256 KiB of it wait in memory. Redirects are not
/// followed, nothing is cached, and no cookie or credential is kept or sent.
///
/// Every exchange that is under way has a session of its own; sessions are used again, and with them their connections.
///
/// On Linux all sessions of a process read on one thread. There a body whose reader is slow holds up every other request
/// of the process until it is read on or cancelled, and what comes of a body that nobody has begun to read waits in a
/// temporary file.
public final class URLSessionTransport: HttpTransport, @unchecked Sendable {
    private let configuration: URLSessionConfiguration
    private let lock = NSLock()
    private var idle: [URLSessionLane] = []
    /// How often idle sessions were closed: one that was begun before is not kept.
    private var closings = 0
    /// The most bytes of one body that ever waited in memory.
    let mostBuffered = HighWaterMark()

    /// Makes a transport.
    ///
    /// - Parameter configuration: What the app wants of its sessions: `waitsForConnectivity` and cellular use, for
    ///   example. Cache, cookies, credentials and timeouts are set by the transport. It must not be a background
    ///   configuration.
    public init(configuration: URLSessionConfiguration = .ephemeral) {
        // Never nil: a configuration copies to a configuration.
        let own = (configuration.copy() as? URLSessionConfiguration) ?? .ephemeral
        own.urlCache = nil
        own.requestCachePolicy = .reloadIgnoringLocalCacheData
        own.httpCookieStorage = nil
        own.httpCookieAcceptPolicy = .never
        own.httpShouldSetCookies = false
        own.urlCredentialStorage = nil
        self.configuration = own
    }

    deinit {
        idle.forEach { $0.invalidate() }
    }

    /// Begins a request and returns at once.
    public func start(request: HttpRequest) throws -> HttpExchange {
        guard let url = URL(string: request.url) else {
            throw TransportError.Failed(detail: "the URL is none")
        }
        var outgoing = URLRequest(url: url)
        outgoing.httpMethod = request.method == .put ? "PUT" : "GET"
        outgoing.httpBody = request.body
        outgoing.httpShouldHandleCookies = false
        // The exchange keeps the time by itself: only then does a body that waits for its reader not count as silent.
        outgoing.timeoutInterval = 24 * 60 * 60
        for header in request.headers {
            outgoing.setValue(header.value, forHTTPHeaderField: header.name)
        }
        let (kept, closings) = lock.withLock { (idle.popLast(), self.closings) }
        let lane = kept ?? URLSessionLane(configuration: configuration)
        let idleTimeout = TimeInterval(request.idleTimeoutMs) / 1000
        let exchange = URLSessionExchange(idleTimeout: idleTimeout, mostBuffered: mostBuffered)
        let request = outgoing
        // FoundationNetworking makes a task only when its reading thread is free, and `start` must not wait.
        DispatchQueue.global().async {
            lane.begin(request, for: exchange) { [weak self, unowned lane] in
                if self?.keep(lane, since: closings) != true { lane.invalidate() }
            }
        }
        return exchange
    }

    /// Closes the connections that were kept open for another request. What is under way goes on, and closes its own.
    public func closeIdle() throws {
        let lanes = lock.withLock { () -> [URLSessionLane] in
            closings += 1
            defer { idle = [] }
            return idle
        }
        lanes.forEach { $0.invalidate() }
    }

    /// Sessions that wait for another request.
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
