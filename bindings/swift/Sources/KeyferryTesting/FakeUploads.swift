import Foundation
import Keyferry

/// The uploads of a ``FakeKeyBackup``: what its calls answer.
public final class FakeUploads: @unchecked Sendable {
    private let lock = NSLock()
    private var content = Content()

    private struct Content {
        var known: UInt64 = 0
        var waiting: UInt64 = 0
        var hindrance: UploadHindrance?
        var outcome = UploadOutcome.completed
    }

    init() {}

    /// Number of keys that the app's crypto has.
    public var known: UInt64 {
        get { lock.withLock { content.known } }
        set { lock.withLock { content.known = newValue } }
    }

    /// Number of those that wait to be uploaded. ``FakeKeyBackup/flushUploads(budget:)`` makes it 0 if it completes.
    public var waiting: UInt64 {
        get { lock.withLock { content.waiting } }
        set { lock.withLock { content.waiting = newValue } }
    }

    /// What keeps keys from being uploaded.
    public var hindrance: UploadHindrance? {
        get { lock.withLock { content.hindrance } }
        set { lock.withLock { content.hindrance = newValue } }
    }

    /// How ``FakeKeyBackup/flushUploads(budget:)`` ends if it is not paused and nothing hinders it.
    public var outcome: UploadOutcome {
        get { lock.withLock { content.outcome } }
        set { lock.withLock { content.outcome = newValue } }
    }

    var pending: PendingUpload {
        lock.withLock { PendingUpload(keys: content.waiting, isBackedUp: content.hindrance == nil) }
    }

    func status(of version: String) -> UploadStatus {
        lock.withLock {
            UploadStatus(
                known: content.known,
                uploaded: content.known - min(content.waiting, content.known),
                waiting: content.waiting,
                version: version,
                onServer: nil,
                hindrance: content.hindrance
            )
        }
    }

    func flush() -> UploadReport {
        lock.withLock {
            let outcome = content.hindrance.map { UploadOutcome.hindered(by: $0) } ?? content.outcome
            guard case .completed = outcome else { return UploadReport(outcome: outcome, uploaded: 0, wakeUp: nil) }
            defer { content.waiting = 0 }
            return UploadReport(outcome: outcome, uploaded: content.waiting, wakeUp: nil)
        }
    }
}
