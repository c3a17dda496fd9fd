import Foundation
import KeyferryFFI

/// Tells the download what holds it. `inBackground` holds while the app is in the background, but for the time that the OS
/// grants.
final class Causes: @unchecked Sendable {
    private let download: KeyDownload
    /// What is told of `inBackground` stays in order: the last word is how it is.
    private let turns = Turns()
    private let lock = NSLock()
    private var appIsInBackground = false
    private var grants = 0

    init(_ download: KeyDownload) {
        self.download = download
    }

    func pause(_ cause: PauseCause) async throws {
        guard cause == .inBackground else { return try await download.pause(cause: cause) }
        lock.withLock { appIsInBackground = true }
        try await tellOfBackground(isOver: false)
    }

    func resume(_ cause: PauseCause) async throws {
        guard cause == .inBackground else { return try await download.resume(cause: cause) }
        lock.withLock { appIsInBackground = false }
        try await tellOfBackground(isOver: true)
    }

    /// Does `work` in time that the OS grants. Afterwards `inBackground` holds, if the app is in the background then.
    func inGrantedTime<Value: Sendable>(_ work: @Sendable () async -> Value) async -> Value {
        lock.withLock { grants += 1 }
        // Only the user's pause is written, and can fail.
        try? await tellOfBackground(isOver: true)
        let value = await work()
        lock.withLock { grants -= 1 }
        try? await tellOfBackground(isOver: false)
        return value
    }

    /// In a task of its own: where the caller is cancelled, it is told nevertheless.
    private func tellOfBackground(isOver: Bool) async throws {
        let telling = Task { [self] in
            try await turns.inTurn {
                if backgroundHolds {
                    try await download.pause(cause: .inBackground)
                } else if isOver {
                    // Not in every case: this asks for a wake-up.
                    try await download.resume(cause: .inBackground)
                }
            }
        }
        try await telling.value
    }

    private var backgroundHolds: Bool {
        lock.withLock { appIsInBackground && grants == 0 }
    }
}
