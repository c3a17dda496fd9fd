#if canImport(ObjectiveC) || canImport(AppleFoundation)
import Foundation
#if canImport(AppleFoundation)
import AppleFoundation
import FoundationNetworking
#endif

/// Downloads answers into files by a background `URLSession`. The OS continues them while the app is suspended, and
/// wakes the app when they have ended. Make one object for each identifier when the app launches, keep it for the
/// life of the process, and pass it to `KeyBackup.open`.
///
/// ```swift
/// let downloads = try BackgroundFileDownloads(identifier: "org.example.keys.files", directory: filesDirectory)
/// ```
///
/// The OS does two things that no other transport may do. It stores a request, with its access token, until the
/// download has ended. And in background sessions it follows redirects without asking, possibly with the token: over
/// TLS only the homeserver can redirect, and it has the token anyway. An answer from elsewhere is discarded, and
/// reported as a 302 without a body.
///
/// When the user removes the app from the app switcher, the OS ends all downloads; a later run begins them again.
public final class BackgroundFileDownloads: NSObject, FileDownloads, @unchecked Sendable {
    private let store: FileDownloadStore
    private let events = BackgroundEvents()
    private var session: URLSession?

    /// Makes the session, and takes over the downloads that the OS has under way or has ended.
    ///
    /// - Parameters:
    ///   - identifier: The identifier of the session, which no other process may use. The OS wakes the app with it.
    ///   - directory: A directory for these downloads only. It is created if it does not exist, kept out of backups,
    ///     and readable after the phone's first unlock.
    ///   - sharedContainerIdentifier: The app group, if an app extension makes this object.
    ///   - allowsCellularAccess: Whether a cellular network may be used. A download keeps the setting it began with.
    ///   - isDiscretionary: Whether the OS may wait for Wi-Fi and power. It always may for downloads that are begun
    ///     while the app is in the background.
    /// - Throws: The error of the file system if the directory cannot be created or set up.
    public init(
        identifier: String,
        directory: URL,
        sharedContainerIdentifier: String? = nil,
        allowsCellularAccess: Bool = true,
        isDiscretionary: Bool = false
    ) throws {
        try FileManager.default.createPrivateDirectory(at: directory)
        store = try FileDownloadStore(directory: directory)
        super.init()
        let configuration = Self.configuration(identifier, sharedContainerIdentifier)
        configuration.allowsCellularAccess = allowsCellularAccess
        configuration.isDiscretionary = isDiscretionary
        configuration.rememberNothing()
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
        lookForLosses()
    }

    /// Begins a download, unless there is one of that name that is under way or has ended well. Called by a run.
    ///
    /// - Throws: `TransportError.failed` if the request is not a GET of a valid URL, the name is empty or too long,
    ///   or the download cannot be recorded in the directory.
    public func begin(name: String, request: TransportRequest) throws {
        guard let url = URL(string: request.url), request.method == .get, let session else {
            throw TransportError.failed(detail: "a background download needs a GET request with a valid URL")
        }
        guard let ticket = try store.begin(name) else { return }
        var outgoing = URLRequest(url: url)
        outgoing.httpShouldHandleCookies = false
        outgoing.timeoutInterval = request.idleTimeout.timeInterval
        for header in request.headers {
            outgoing.setValue(header.value, forHTTPHeaderField: header.name)
        }
        // Nothing promises that the file has the decoded body.
        outgoing.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        let task = session.downloadTask(with: outgoing)
        task.taskDescription = ticket.text
        task.resume()
    }

    /// Returns how far the download of that name is. Called by a run.
    public func state(name: String) throws -> FileDownload {
        store.state(of: name)
    }

    /// Gives up the download of that name and deletes its file. Called by a run, and by `KeyBackup.close`.
    public func discard(name: String) throws {
        guard let ticket = store.discard(name) else { return }
        session?.getAllTasks { tasks in
            for task in tasks where task.taskDescription == ticket.text { task.cancel() }
        }
    }

    /// Returns the names of all downloads, of all accounts that share this object.
    public func names() throws -> [String] {
        store.names()
    }

    /// Gives up all downloads except some, and deletes their files. Use it for downloads that are left of an account
    /// that is never opened again: an account's next run gives up what it no longer needs, and `KeyBackup.close`
    /// gives up the rest.
    ///
    /// - Parameter names: The names of the downloads to keep, as ``begin(name:request:)`` was called with.
    public func discardAll(except names: Set<String>) {
        store.discardAll(except: names)
        session?.getAllTasks { [store] tasks in
            // Read now, because more downloads may have begun meanwhile.
            let wanted = store.underWay()
            for task in tasks {
                let ticket = FileDownloadTicket(text: task.taskDescription)
                let isWanted = ticket.map { wanted.contains($0) || names.contains($0.name) } ?? false
                if !isWanted { task.cancel() }
            }
        }
    }

    /// Handles the events of this session, for which the OS has woken the app. Call it in
    /// `application(_:handleEventsForBackgroundURLSession:completionHandler:)`.
    ///
    /// ```swift
    /// downloads.handleEvents(completionHandler: completionHandler) {
    ///     await backup.runInBackground()
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - completionHandler: The handler from the OS. It is called on the main thread after `work`.
    ///   - work: Uses the downloaded answers: a ``KeyBackupProtocol/runInBackground(budget:)`` of about 20 seconds.
    public func handleEvents(
        completionHandler: @escaping () -> Void,
        then work: @escaping @Sendable () async -> Void = {}
    ) {
        events.wait(BackgroundEvents.Waiter(work: work, done: completionHandler))
    }

    private static func configuration(_ identifier: String, _ sharedContainer: String?) -> URLSessionConfiguration {
        #if canImport(ObjectiveC)
        let configuration = URLSessionConfiguration.background(withIdentifier: identifier)
        configuration.sharedContainerIdentifier = sharedContainer
        return configuration
        #else
        // Linux has no background sessions: tests get one that ends with the process.
        return .default
        #endif
    }

    /// Marks downloads that the OS has lost as failed, so that they are begun again.
    private func lookForLosses() {
        let expected = store.underWay()
        session?.getAllTasks { [store] tasks in
            let known = Set(tasks.compactMap { FileDownloadTicket(text: $0.taskDescription) })
            for ticket in expected.subtracting(known) { store.failed(ticket, .interrupted) }
        }
    }
}

extension BackgroundFileDownloads: URLSessionDownloadDelegate {
    /// Keeps the answer. Called by the OS, which deletes the file when this returns.
    public func urlSession(
        _ session: URLSession,
        downloadTask: URLSessionDownloadTask,
        didFinishDownloadingTo location: URL
    ) {
        guard let ticket = FileDownloadTicket(text: downloadTask.taskDescription) else { return }
        guard let response = downloadTask.response as? HTTPURLResponse, let asked = downloadTask.originalRequest?.url
        else { return store.failed(ticket, .interrupted) }
        if asked.isAnswered(from: response.url) {
            store.ended(ticket, response.head, body: location)
        } else {
            store.ended(ticket, TransportHead(status: 302, headers: []), body: nil)
        }
    }

    /// Records why there is no answer. Called by the OS.
    public func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        guard let error, let ticket = FileDownloadTicket(text: task.taskDescription) else { return }
        store.failed(ticket, TransportError(error))
    }

    /// Notes that all events from the time of the app's suspension are delivered. Called by the OS.
    public func urlSessionDidFinishEvents(forBackgroundURLSession session: URLSession) {
        events.areTold()
    }
}
#endif
