import Foundation

/// Reports pause causes to the download. `inBackground` holds while the app is in the background, except in time that
/// the OS grants.
final class Causes: @unchecked Sendable {
    private let download: KeyDownload
    /// Keeps reports of `inBackground` in order, so that the last one is the true one.
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

    /// Does `work` in time that the OS grants. Afterwards `inBackground` holds if the app is in the background.
    func inGrantedTime<Value: Sendable>(_ work: @Sendable () async -> Value) async -> Value {
        lock.withLock { grants += 1 }
        // Cannot fail: only the user's pause is written to the vault.
        try? await tellOfBackground(isOver: true)
        let value = await work()
        lock.withLock { grants -= 1 }
        try? await tellOfBackground(isOver: false)
        return value
    }

    /// Reports whether `inBackground` holds. Uses a separate task, so that it reports even if the caller is
    /// cancelled.
    private func tellOfBackground(isOver: Bool) async throws {
        let telling = Task { [self] in
            try await turns.inTurn {
                if backgroundHolds {
                    try await download.pause(cause: .inBackground)
                } else if isOver {
                    // Only when it is over, because `resume` requests a wake-up.
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
