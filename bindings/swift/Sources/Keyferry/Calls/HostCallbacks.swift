
/// Implements the host's callbacks by closures of the app, and sends the events of the crate to streams.
final class HostCallbacks: JobHost {
    typealias AccessToken = @Sendable (TokenRequest) async throws -> String
    typealias RoomsByPriority = @Sendable () async throws -> [String]
    typealias ResolveConflict = @Sendable (PreferenceConflict) async throws -> PreferenceResolution
    typealias ScheduleWakeUp = @Sendable (WakeUpPurpose, WakeUp?) async throws -> Void

    let runs = StateOfRuns()
    /// Repeats the latest progress, because the screen that shows it may not exist yet.
    let resets = Broadcast<ResetProgress>(bufferLimit: 1, repeatsLatest: true)
    let arrivals = Broadcast<[ArrivedRoomKeys]>(bufferLimit: 64, repeatsLatest: false)
    /// Repeats the latest notice, because the screen that shows it may not exist yet.
    let preferenceNotices = Broadcast<PreferenceNotice>(bufferLimit: 64, repeatsLatest: true)
    /// Repeats the latest notice, because the screen that shows it may not exist yet.
    let conflictNotices = Broadcast<ConflictNotice>(bufferLimit: 64, repeatsLatest: true)
    private let token: AccessToken
    private let rooms: RoomsByPriority
    private let resolve: ResolveConflict
    private let schedule: ScheduleWakeUp

    init(
        accessToken: @escaping AccessToken,
        roomsByPriority: @escaping RoomsByPriority,
        resolvePreferenceConflict: @escaping ResolveConflict,
        scheduleWakeUp: @escaping ScheduleWakeUp
    ) {
        token = accessToken
        rooms = roomsByPriority
        resolve = resolvePreferenceConflict
        schedule = scheduleWakeUp
    }

    func accessToken(request: TokenRequest) async throws -> SecretString {
        try await token(request)
    }

    func roomsByPriority() async throws -> [String] {
        try await rooms()
    }

    func onProgress(progress: DownloadProgress) async throws {
        runs.show(progress)
    }

    func onResetProgress(progress: ResetProgress) async throws {
        resets.send(progress)
    }

    func onRoomKeysArrived(arrived: [ArrivedRoomKeys]) async throws {
        arrivals.send(arrived)
    }

    func onConflicts(notice: ConflictNotice) async throws {
        conflictNotices.send(notice)
    }

    func onPreferenceChanged(notice: PreferenceNotice) async throws {
        preferenceNotices.send(notice)
    }

    func resolvePreferenceConflict(conflict: PreferenceConflict) async throws -> PreferenceResolution {
        try await resolve(conflict)
    }

    func scheduleWakeUp(purpose: WakeUpPurpose, wakeUp: WakeUp?) async throws {
        try await schedule(purpose, wakeUp)
    }

    func finish() {
        runs.finish()
        resets.finish()
        arrivals.finish()
        preferenceNotices.finish()
        conflictNotices.finish()
    }
}
