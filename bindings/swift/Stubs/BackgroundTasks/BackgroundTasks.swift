// A stub of Apple's BackgroundTasks, as far as the package uses it. What Apple's has not, for tests: `permitted`, `pending`,
// `refusal` and `launch` of the scheduler, `expire` and `completions` of a task.

import AppleFoundation

open class BGTask: @unchecked Sendable {
    public let identifier: String
    public var expirationHandler: (() -> Void)? {
        get { lock.withLock { handler } }
        set { lock.withLock { handler = newValue } }
    }

    /// What the work has reported at its end. Apple's stops an app that reports twice.
    public var completions: [Bool] { lock.withLock { reports } }

    fileprivate let lock = NSLock()
    private var handler: (() -> Void)?
    private var reports: [Bool] = []

    init(identifier: String) {
        self.identifier = identifier
    }

    open func setTaskCompleted(success: Bool) {
        lock.withLock { reports.append(success) }
    }

    /// Takes the time back, as iOS does.
    public func expire() {
        expirationHandler?()
    }
}

public final class BGProcessingTask: BGTask, @unchecked Sendable {}

public final class BGAppRefreshTask: BGTask, @unchecked Sendable {}

public final class BGContinuedProcessingTask: BGTask, @unchecked Sendable {
    public let progress = Progress(totalUnitCount: 0)
    public var title: String { lock.withLock { shown.title } }
    public var subtitle: String { lock.withLock { shown.subtitle } }

    private var shown: (title: String, subtitle: String)

    init(_ request: BGContinuedProcessingTaskRequest) {
        shown = (request.title, request.subtitle)
        super.init(identifier: request.identifier)
    }

    public func updateTitle(_ title: String, subtitle: String) {
        lock.withLock { shown = (title, subtitle) }
    }
}

open class BGTaskRequest {
    public let identifier: String
    public var earliestBeginDate: Date?

    init(identifier: String) {
        self.identifier = identifier
    }
}

public final class BGAppRefreshTaskRequest: BGTaskRequest {
    public override init(identifier: String) {
        super.init(identifier: identifier)
    }
}

public final class BGProcessingTaskRequest: BGTaskRequest {
    public var requiresNetworkConnectivity = false
    public var requiresExternalPower = false

    public override init(identifier: String) {
        super.init(identifier: identifier)
    }
}

public final class BGContinuedProcessingTaskRequest: BGTaskRequest {
    public enum SubmissionStrategy: Int, Sendable {
        case fail, queue
    }

    public var title: String
    public var subtitle: String
    public var strategy = SubmissionStrategy.queue

    public init(identifier: String, title: String, subtitle: String) {
        self.title = title
        self.subtitle = subtitle
        super.init(identifier: identifier)
    }
}

public final class BGTaskScheduler: @unchecked Sendable {
    public struct Error: Swift.Error {
        public enum Code: Int, Sendable {
            case unavailable = 1, tooManyPendingTaskRequests, notPermitted, immediateRunIneligible
        }

        public let code: Code

        public init(_ code: Code) {
            self.code = code
        }
    }

    public static let shared = BGTaskScheduler()

    /// The identifiers in Info.plist; `nil`: all.
    public var permitted: Set<String>?
    /// What `submit` throws for a request; `nil`: it takes the request.
    public var refusal: (@Sendable (BGTaskRequest) -> Error?)?
    /// Whether continued tasks are taken and never started.
    public var ignoresContinued = false

    private let lock = NSLock()
    private var handlers: [String: (BGTask) -> Void] = [:]
    private var requests: [String: BGTaskRequest] = [:]

    /// The requests that wait, by their identifiers.
    public var pending: [String: BGTaskRequest] {
        lock.withLock { requests }
    }

    public func register(
        forTaskWithIdentifier identifier: String,
        using queue: DispatchQueue?,
        launchHandler: @escaping (BGTask) -> Void
    ) -> Bool {
        guard isPermitted(identifier) else { return false }
        lock.withLock {
            // As Apple's does.
            precondition(handlers[identifier] == nil, "\(identifier) is registered twice")
            handlers[identifier] = launchHandler
        }
        return true
    }

    public func submit(_ taskRequest: BGTaskRequest) throws {
        if let refusal = refusal?(taskRequest) { throw refusal }
        guard isPermitted(taskRequest.identifier) else { throw Error(.notPermitted) }
        precondition(lock.withLock { handlers[taskRequest.identifier] != nil }, "\(taskRequest.identifier) has no handler")
        guard let continued = taskRequest as? BGContinuedProcessingTaskRequest else {
            return lock.withLock { requests[taskRequest.identifier] = taskRequest }
        }
        if !ignoresContinued { launch(BGContinuedProcessingTask(continued)) }
    }

    /// Whether Info.plist has the identifier, or a pattern for it, such as `org.example.*`.
    private func isPermitted(_ identifier: String) -> Bool {
        guard let permitted else { return true }
        return permitted.contains { pattern in
            pattern == identifier || pattern.hasSuffix(".*") && identifier.hasPrefix(pattern.dropLast())
        }
    }

    public func cancel(taskRequestWithIdentifier identifier: String) {
        lock.withLock { _ = requests.removeValue(forKey: identifier) }
    }

    public func cancelAllTaskRequests() {
        lock.withLock { requests = [:] }
    }

    /// Starts the task of a request that waits, as iOS does, and returns it. The request is used up.
    public func launch(_ identifier: String) -> BGTask? {
        guard let request = lock.withLock({ requests.removeValue(forKey: identifier) }) else { return nil }
        let isProcessing = request is BGProcessingTaskRequest
        let task = isProcessing ? BGProcessingTask(identifier: identifier) : BGAppRefreshTask(identifier: identifier)
        launch(task)
        return task
    }

    /// The continued tasks that were started, the last one last.
    public var continued: [BGContinuedProcessingTask] { lock.withLock { started } }

    private var started: [BGContinuedProcessingTask] = []

    private func launch(_ task: BGTask) {
        if let task = task as? BGContinuedProcessingTask { lock.withLock { started.append(task) } }
        nonisolated(unsafe) let handler = lock.withLock { handlers[task.identifier] }
        // On a queue of the system's, not the caller's.
        DispatchQueue.global().async { handler?(task) }
    }
}
