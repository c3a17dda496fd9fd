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
    /// What the download was told last.
    private var isTold = false

    init(_ download: KeyDownload) {
        self.download = download
    }

    func pause(_ cause: PauseCause) async throws {
        guard cause == .inBackground else { return try await download.pause(cause: cause) }
        lock.withLock { appIsInBackground = true }
        try await tellOfBackground()
    }

    func resume(_ cause: PauseCause) async throws {
        guard cause == .inBackground else { return try await download.resume(cause: cause) }
        lock.withLock { appIsInBackground = false }
        try await tellOfBackground()
    }

    /// Does `work` in time that the OS grants. Afterwards `inBackground` holds if the app is in the background.
    func inGrantedTime<Value: Sendable>(_ work: @Sendable () async -> Value) async -> Value {
        lock.withLock { grants += 1 }
        // Cannot fail: only the user's pause is written to the vault.
        try? await tellOfBackground()
        let value = await work()
        lock.withLock { grants -= 1 }
        try? await tellOfBackground()
        return value
    }

    /// Reports whether `inBackground` holds, if that has changed: each `resume` requests a wake-up. Uses a separate task, so
    /// that it reports even if the caller is cancelled.
    private func tellOfBackground() async throws {
        let telling = Task { [self] in
            try await turns.inTurn {
                let holds = backgroundHolds
                guard holds != lock.withLock({ isTold }) else { return }
                if holds {
                    try await download.pause(cause: .inBackground)
                } else {
                    try await download.resume(cause: .inBackground)
                }
                lock.withLock { isTold = holds }
            }
        }
        try await telling.value
    }

    private var backgroundHolds: Bool {
        lock.withLock { appIsInBackground && grants == 0 }
    }
}
