import KeyferryFFI

/// The host as the Rust crate calls it, made of two closures and two streams.
final class HostCallbacks: JobHost {
    typealias AccessToken = @Sendable (TokenRequest) async throws -> String
    typealias RoomsByPriority = @Sendable () async throws -> [String]

    let progress = Broadcast<DownloadProgress>(bufferLimit: 1, repeatsLatest: true)
    let arrivals = Broadcast<[ArrivedRoomKeys]>(bufferLimit: 64, repeatsLatest: false)
    private let token: AccessToken
    private let rooms: RoomsByPriority

    init(accessToken: @escaping AccessToken, roomsByPriority: @escaping RoomsByPriority) {
        token = accessToken
        rooms = roomsByPriority
    }

    func accessToken(request: TokenRequest) async throws -> SecretString {
        try await token(request)
    }

    func roomsByPriority() async throws -> [String] {
        try await rooms()
    }

    func onProgress(progress: DownloadProgress) async throws {
        self.progress.send(progress)
    }

    func onRoomKeysArrived(arrived: [ArrivedRoomKeys]) async throws {
        arrivals.send(arrived)
    }

    func finish() {
        progress.finish()
        arrivals.finish()
    }
}
