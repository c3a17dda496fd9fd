import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import Keyferry

/// Runs the test homeserver in its own process. The environment variable `KEYFERRY_TEST_HOMESERVER` has its path.
final class TestHomeserver: @unchecked Sendable {
    /// The details that it prints when it is ready.
    struct Details: Decodable {
        let homeserverUrl: String
        let userId: String
        let deviceId: String
        let accessToken: String
        let recoveryKey: String
        let backupDecryptionKeyBase64: String
        let backupVersion: String
    }

    /// A backup version.
    struct BackupVersion: Decodable {
        struct AuthData: Decodable {
            // As the specification writes it.
            let public_key: String
        }

        let version: String
        let count: Int
        let auth_data: AuthData

        var target: BackupTarget { BackupTarget(version: version, publicKey: auth_data.public_key) }
    }

    /// The requests that it has counted.
    struct Requests: Decodable {
        let byEndpoint: [String: Int]
    }

    enum Problem: Error {
        case noPath
        case noDetails
        case refusedControl(Int)
    }

    let details: Details
    private let process = Process()
    private let input = Pipe()

    convenience init(keys: Int, rooms: Int, seed: Int = 1, _ more: String...) throws {
        try self.init(keys: keys, rooms: rooms, arguments: ["--seed", "\(seed)"] + more)
    }

    init(keys: Int, rooms: Int, arguments: [String]) throws {
        guard let path = ProcessInfo.processInfo.environment["KEYFERRY_TEST_HOMESERVER"] else { throw Problem.noPath }
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["--keys", "\(keys)", "--rooms", "\(rooms)"] + arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while !line.contains(UInt8(ascii: "\n")) {
            let part = output.fileHandleForReading.availableData
            if part.isEmpty { throw Problem.noDetails }
            line.append(part)
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        details = try decoder.decode(Details.self, from: line)
    }

    deinit {
        stop()
    }

    func stop() {
        guard process.isRunning else { return }
        try? input.fileHandleForWriting.close()
        process.terminate()
        process.waitUntilExit()
    }

    var account: KeyBackupAccount {
        KeyBackupAccount(homeserverUrl: details.homeserverUrl, userId: details.userId, deviceId: details.deviceId)
    }

    /// Makes a request with the access token, as the Rust crate does.
    func request(_ path: String, idleTimeout: Duration = .seconds(30)) -> TransportRequest {
        TransportRequest(
            method: .get,
            url: details.homeserverUrl + "/_matrix/client/v3" + path,
            headers: [TransportHeader(name: "Authorization", value: "Bearer " + details.accessToken)],
            body: nil,
            idleTimeout: idleTimeout
        )
    }

    /// The request for the whole backup.
    var everything: TransportRequest {
        request("/room_keys/keys?version=" + details.backupVersion)
    }

    /// Makes the homeserver misbehave from now on; its own documentation has the names of the faults.
    func setFaults(_ json: String) async throws {
        _ = try await control("POST", "faults", Data(json.utf8))
    }

    /// Makes answers with keys begin and then stall.
    func stallKeys() async throws {
        try await setFaults("""
            [{"kind":"stall","after_bytes":1000,"endpoint":"all_keys"},
             {"kind":"stall","after_bytes":1000,"endpoint":"room_keys"}]
            """)
    }

    func requests(of endpoint: String) async throws -> Int {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let counted = try decoder.decode(Requests.self, from: try await control("GET", "requests", nil))
        return counted.byEndpoint[endpoint] ?? 0
    }

    /// Reads a backup version as another client does. Returns `nil` if the server has none of that number.
    func version(_ number: String) async throws -> BackupVersion? {
        try await readVersion("/" + number)
    }

    /// Reads the current backup version as another client does. Returns `nil` if there is none.
    func currentVersion() async throws -> BackupVersion? {
        try await readVersion("")
    }

    private func readVersion(_ path: String) async throws -> BackupVersion? {
        let (data, status) = try await send("GET", "/_matrix/client/v3/room_keys/version" + path, nil)
        return status == 200 ? try JSONDecoder().decode(BackupVersion.self, from: data) : nil
    }

    /// Reads the content of account data as another client does. Returns `nil` if there is none.
    func accountData(_ type: String) async throws -> String? {
        let (data, status) = try await send("GET", accountDataPath(type), nil)
        return status == 200 ? String(decoding: data, as: UTF8.self) : nil
    }

    /// Writes account data as another client does.
    func putAccountData(_ type: String, _ json: String) async throws {
        let (_, status) = try await send("PUT", accountDataPath(type), Data(json.utf8))
        guard status == 200 else { throw Problem.refusedControl(status) }
    }

    private func accountDataPath(_ type: String) -> String {
        let user = details.userId.replacingOccurrences(of: "@", with: "%40").replacingOccurrences(of: ":", with: "%3A")
        return "/_matrix/client/v3/user/" + user + "/account_data/" + type
    }

    private func control(_ method: String, _ name: String, _ body: Data?) async throws -> Data {
        let (data, status) = try await send(method, "/_control/" + name, body)
        guard status == 200 else { throw Problem.refusedControl(status) }
        return data
    }

    private func send(_ method: String, _ path: String, _ body: Data?) async throws -> (Data, Int) {
        guard let url = URL(string: details.homeserverUrl + path) else { throw Problem.noDetails }
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.httpBody = body
        request.setValue("Bearer " + details.accessToken, forHTTPHeaderField: "Authorization")
        let (data, response) = try await URLSession.shared.data(for: request)
        return (data, (response as? HTTPURLResponse)?.statusCode ?? 0)
    }
}
