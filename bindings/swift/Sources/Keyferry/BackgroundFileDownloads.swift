#if canImport(ObjectiveC)
import Foundation
import KeyferryFFI

/// Downloads by a background `URLSession`: the OS goes on with them while the app is suspended, and wakes it when they have
/// ended. Give it to `KeyBackup.open`. Make one for each identifier, when the app launches, and keep it for the life of the
/// process.
///
/// The OS does two things that another transport must not. It keeps a request, with its access token, until the download
/// has ended. And in background sessions it follows redirects without asking, perhaps with the token: over TLS only the
/// homeserver can redirect, which has the token anyway. An answer that comes from elsewhere is thrown away, and told as a
/// 302 without a body.
///
/// When the user removes the app from the switcher, the OS ends all downloads; they are begun again in a later run.
public final class BackgroundFileDownloads: NSObject, FileDownloads, @unchecked Sendable {
    private let store: FileDownloadStore
    private let events = BackgroundEvents()
    private var session: URLSession?

    /// Makes it, and takes over what the OS has under way or has ended.
    ///
    /// - Parameters:
    ///   - identifier: Of the session; no other process uses it. The OS wakes the app with it.
    ///   - directory: A directory of its own. It is made if it is not there, kept out of backups, and readable after the
    ///     phone's first unlock.
    ///   - sharedContainerIdentifier: The app group, where an app extension makes this.
    ///   - allowsCellularAccess: Whether a cellular network may be used. What is begun with one setting keeps it.
    ///   - isDiscretionary: Whether the OS may wait for Wi-Fi and power. What is begun in the background always does.
    public init(
        identifier: String,
        directory: URL,
        sharedContainerIdentifier: String? = nil,
        allowsCellularAccess: Bool = true,
        isDiscretionary: Bool = false
    ) throws {
        store = try FileDownloadStore(directory: directory)
        try BackgroundFileDownloads.keepOutOfBackups(directory)
        super.init()
        let configuration = URLSessionConfiguration.background(withIdentifier: identifier)
        configuration.sharedContainerIdentifier = sharedContainerIdentifier
        configuration.allowsCellularAccess = allowsCellularAccess
        configuration.isDiscretionary = isDiscretionary
        configuration.urlCache = nil
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.httpCookieStorage = nil
        configuration.httpCookieAcceptPolicy = .never
        configuration.httpShouldSetCookies = false
        configuration.urlCredentialStorage = nil
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
        lookForLosses()
    }

    /// Begins a download, unless there is one of that name.
    public func begin(name: String, request: HttpRequest) throws {
        guard let url = URL(string: request.url), request.method == .get, let session else {
            throw TransportError.Failed(detail: "no request for a background download")
        }
        guard let ticket = try store.begin(name) else { return }
        var outgoing = URLRequest(url: url)
        outgoing.httpShouldHandleCookies = false
        outgoing.timeoutInterval = TimeInterval(request.idleTimeoutMs) / 1000
        for header in request.headers {
            outgoing.setValue(header.value, forHTTPHeaderField: header.name)
        }
        // Nobody promises that what lies in the file is decoded.
        outgoing.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        let task = session.downloadTask(with: outgoing)
        task.taskDescription = ticket.text
        task.resume()
    }

    /// How far the download of that name is.
    public func state(name: String) throws -> FileDownload {
        store.state(of: name)
    }

    /// Gives the download of that name up, and deletes its file.
    public func discard(name: String) throws {
        guard let ticket = store.discard(name) else { return }
        session?.getAllTasks { tasks in
            for task in tasks where task.taskDescription == ticket.text { task.cancel() }
        }
    }

    /// The names of all downloads that there are, of all accounts that share this object.
    public func names() throws -> [String] {
        store.names()
    }

    /// Gives up every download but those of these names, and deletes their files. What an account has no use for is given up by
    /// its next run, and by `KeyBackup.close` when it signs out; this is for what is left of an account that is never opened
    /// again. The names are those that `begin` was called with.
    public func discardAll(except names: Set<String>) {
        store.discardAll(except: names)
        session?.getAllTasks { [store] tasks in
            // What has begun meanwhile has a record.
            let wanted = store.underWay()
            for task in tasks {
                let ticket = FileDownloadTicket(text: task.taskDescription)
                let isWanted = ticket.map { wanted.contains($0) || names.contains($0.name) } ?? false
                if !isWanted { task.cancel() }
            }
        }
    }

    /// The OS has woken the app for this session. Call it in `application(_:handleEventsForBackgroundURLSession:…)`.
    ///
    /// - Parameters:
    ///   - completionHandler: What the OS has given; it is called at the end.
    ///   - work: What to do with what has come: a `run` of about 20 seconds.
    public func handleEvents(
        completionHandler: @escaping () -> Void,
        then work: @escaping @Sendable () async -> Void = {}
    ) {
        events.wait(BackgroundEvents.Waiter(work: work, done: completionHandler))
    }

    /// The OS may have lost some: they have failed then, and are begun again.
    private func lookForLosses() {
        let expected = store.underWay()
        session?.getAllTasks { [store] tasks in
            let known = Set(tasks.compactMap { FileDownloadTicket(text: $0.taskDescription) })
            for ticket in expected.subtracting(known) { store.failed(ticket, .Interrupted) }
        }
    }

    private static func keepOutOfBackups(_ directory: URL) throws {
        var directory = directory
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try directory.setResourceValues(values)
        #if os(iOS)
        let protection: [FileAttributeKey: Any] = [
            .protectionKey: FileProtectionType.completeUntilFirstUserAuthentication
        ]
        try FileManager.default.setAttributes(protection, ofItemAtPath: directory.path)
        #endif
    }
}

extension BackgroundFileDownloads: URLSessionDownloadDelegate {
    /// Keeps the answer: its file is gone when this returns.
    public func urlSession(
        _ session: URLSession,
        downloadTask: URLSessionDownloadTask,
        didFinishDownloadingTo location: URL
    ) {
        guard let ticket = FileDownloadTicket(text: downloadTask.taskDescription) else { return }
        guard let response = downloadTask.response as? HTTPURLResponse, let asked = downloadTask.originalRequest?.url
        else { return store.failed(ticket, .Interrupted) }
        if asked.isAnswered(from: response.url) {
            store.ended(ticket, response.head, body: location)
        } else {
            store.ended(ticket, HttpHead(status: 302, headers: []), body: nil)
        }
    }

    /// Notes why there is no answer.
    public func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        guard let error, let ticket = FileDownloadTicket(text: task.taskDescription) else { return }
        store.failed(ticket, TransportError(error))
    }

    /// All that has happened while the app slept is told.
    public func urlSessionDidFinishEvents(forBackgroundURLSession session: URLSession) {
        events.areTold()
    }
}
#endif
