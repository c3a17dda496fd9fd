import Foundation
import Keyferry

/// The reset of a ``FakeKeyBackup``: what its calls answer.
///
/// ```swift
/// backup.reset.readiness = .fake(losses: [KeyLoss(kind: .notFetched, keys: 3)])
/// backup.reset.outcome = .cryptoRefuses(reason: "not verified")
/// ```
public final class FakeReset: @unchecked Sendable {
    private let lock = NSLock()
    private let progressSent = Broadcast<ResetProgress>(bufferLimit: 1, repeatsLatest: true)
    private var content = Content()

    private struct Content {
        var readiness = ResetReadiness.fake()
        var status: ResetStatus?
        var progress: [ResetProgress] = []
        var stepTime = Duration.zero
        var outcome = ResetOutcome.completed
    }

    init() {}

    /// What ``FakeKeyBackup/prepareReset(for:)`` answers. A move, a deletion and ``FakeKeyBackup/turnOff(accepting:)`` throw
    /// `losesKeys` unless they accept its losses.
    public var readiness: ResetReadiness {
        get { lock.withLock { content.readiness } }
        set { lock.withLock { content.readiness = newValue } }
    }

    /// What ``FakeKeyBackup/resetStatus()`` answers: `nil` at first. A reset that begins, completes or is cancelled changes
    /// it.
    public var status: ResetStatus? {
        get { lock.withLock { content.status } }
        set { lock.withLock { content.status = newValue } }
    }

    /// The values that a run shows, in order.
    public var progress: [ResetProgress] {
        get { lock.withLock { content.progress } }
        set { lock.withLock { content.progress = newValue } }
    }

    /// How long each value stays before the next one.
    public var stepTime: Duration {
        get { lock.withLock { content.stepTime } }
        set { lock.withLock { content.stepTime = newValue } }
    }

    /// How a run ends that is not paused.
    public var outcome: ResetOutcome {
        get { lock.withLock { content.outcome } }
        set { lock.withLock { content.outcome = newValue } }
    }

    var progressUpdates: AsyncStream<ResetProgress> { progressSent.stream() }

    /// Whether a run has something to do.
    var isUnderWay: Bool { status.map { $0.step != .done && $0.stopped == nil } ?? false }

    func checkLosses(accepted: [KeyLoss]) throws {
        let losses = readiness.losses.filter { !accepted.contains($0) }
        if !losses.isEmpty { throw ResetError.losesKeys(losses: losses) }
    }

    func begin(from version: String?) throws {
        if isUnderWay { throw ResetError.underWay }
        status = .fake(.begun, oldVersion: version, total: readiness.keys)
        show(ResetProgress(step: .begun, sent: 0, total: readiness.keys))
    }

    func cancel() throws {
        guard status?.canBeCancelled == true else { throw ResetError.notUnderWay }
        status = nil
        progressSent.forgetLatest()
    }

    /// Stops the reset, as another client does.
    func stop(_ why: ResetStop) {
        guard let before = status else { return }
        status = .fake(
            before.step, stopped: why, oldVersion: before.oldVersion, newVersion: before.newVersion, sent: before.sent,
            total: before.total)
        show(ResetProgress(step: before.step, sent: before.sent, total: before.total, stopped: why))
    }

    func show(_ progress: ResetProgress) {
        progressSent.send(progress)
    }

    func complete() {
        let keys = readiness.keys
        status = .fake(.done, oldVersion: status?.oldVersion, newVersion: "2", sent: keys, total: keys)
        show(ResetProgress(step: .done, sent: keys, total: keys))
    }

    func finish() {
        progressSent.finish()
    }
}

extension ResetReadiness {
    /// Returns what a reset would mean.
    public static func fake(_ way: ResetWay = .move, losses: [KeyLoss] = [], keys: UInt64 = 0) -> ResetReadiness {
        ResetReadiness(
            way: way,
            losses: losses,
            keys: keys,
            uploadBytes: keys * 860,
            vaultBytes: keys * 560,
            canKeepSecrets: true
        )
    }
}

extension ResetStatus {
    /// Returns how far a reset has come.
    public static func fake(
        _ step: ResetStep = .begun,
        stopped: ResetStop? = nil,
        oldVersion: String? = "1",
        newVersion: String? = nil,
        sent: UInt64 = 0,
        total: UInt64 = 0
    ) -> ResetStatus {
        ResetStatus(
            step: step,
            stopped: stopped,
            canBeCancelled: step == .begun || step == .secretsKept,
            oldVersion: oldVersion,
            newVersion: newVersion,
            newPublicKey: "",
            sent: sent,
            total: total,
            unreplaced: 0
        )
    }
}
