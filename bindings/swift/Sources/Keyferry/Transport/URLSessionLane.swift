import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A URL session and the one exchange that uses it now.
///
/// The session keeps this object alive, as its delegate, until `invalidate`.
final class URLSessionLane: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private let lock = NSLock()
    private var exchange: URLSessionExchange?
    private var done: (() -> Void)?
    private var session: URLSession?

    init(configuration: URLSessionConfiguration) {
        super.init()
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: Self.delegateQueue())
    }

    /// Starts a request; calls `done` when its task has ended and the lane is free.
    func begin(_ request: URLRequest, for exchange: URLSessionExchange, done: @escaping @Sendable () -> Void) {
        guard let task = session?.dataTask(with: request) else { return }
        lock.withLock {
            self.exchange = exchange
            self.done = done
        }
        exchange.begin(task)
    }

    /// Ends the session, which then releases this object.
    func invalidate() {
        session?.finishTasksAndInvalidate()
        session = nil
    }

    private var current: URLSessionExchange? {
        lock.withLock { exchange }
    }

    func urlSession(
        _ session: URLSession,
        dataTask: URLSessionDataTask,
        didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        current?.received(response)
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        current?.received(data)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let (exchange, done) = lock.withLock {
            defer { (self.exchange, self.done) = (nil, nil) }
            return (self.exchange, self.done)
        }
        exchange?.ended(error)
        done?()
    }

    func urlSession(
        _ session: URLSession,
        task: URLSessionTask,
        willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest,
        completionHandler: @escaping (URLRequest?) -> Void
    ) {
        // The access token must not be sent to another host.
        completionHandler(nil)
    }
}

extension URLSessionLane {
    #if canImport(FoundationNetworking)
    /// Calls the delegate on the thread that reads the sockets.
    ///
    /// FoundationNetworking reads on, whether or not its delegate keeps up, and `suspend` makes it drop the
    /// connection and send the request again on `resume`. The only way to slow it down is a delegate that blocks the
    /// reading thread.
    private final class ReadingThreadQueue: OperationQueue, @unchecked Sendable {
        override func addOperation(_ block: @escaping @Sendable () -> Void) {
            block()
        }
    }

    private static func delegateQueue() -> OperationQueue {
        ReadingThreadQueue()
    }
    #else
    private static func delegateQueue() -> OperationQueue {
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = 1
        return queue
    }
    #endif
}
