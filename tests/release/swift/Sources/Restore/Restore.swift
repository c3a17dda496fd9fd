import Foundation
import Keyferry

/// Restores the backup of an account, as a new program on the package does: `Restore ACCOUNT.json DATA_DIR`.
@main
struct Restore {
    struct Details: Decodable {
        let homeserverUrl: String
        let userId: String
        let deviceId: String
        let accessToken: String
        let recoveryKey: String
    }

    static func main() async throws {
        let arguments = CommandLine.arguments
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let details = try decoder.decode(Details.self, from: Data(contentsOf: URL(fileURLWithPath: arguments[1])))

        let backup = try await KeyBackup.open(
            account: KeyBackupAccount(
                homeserverUrl: details.homeserverUrl,
                userId: details.userId,
                deviceId: details.deviceId
            ),
            directory: URL(fileURLWithPath: arguments[2]),
            protection: .key(key: Data(repeating: 7, count: 32)),
            sink: ClosureSink { keys in keys.map { _ in .imported } },
            accessToken: { _ in details.accessToken }
        )
        try await backup.unlock(with: .recoveryKey(text: details.recoveryKey))
        let report = await backup.run()
        print("Swift: \(report.summary.delivered) keys, \(report.outcome)")
        backup.close()
        exit(report.everyKeyIsHere ? 0 : 1)
    }
}
