#if canImport(AppleFoundation)
import AppleFoundation
import BackgroundTasks
import SwiftUI
import UIKit
import XCTest

// The lines that README.md and docs/ios.md show. tests/it/readme.rs compares them.

// README begin
// docs/ios.md begin
import Keyferry
// README end
import KeyferryTesting
// docs/ios.md end

// README begin
// docs/ios.md begin
extension Session {
    /// The key backup of this account: opened once in a process, and the same one from then on.
    func keyBackup() async throws -> KeyBackup {
        try await KeyBackup.open(account: account, sink: sink) { _ in try await self.accessToken() }
    }
}
// docs/ios.md end
// README end

// docs/ios.md begin
final class AppDelegate: NSObject, UIApplicationDelegate {
    let session = Session.current

    func application(
        _ application: UIApplication,
        didFinishLaunchingWithOptions launchOptions: [UIApplication.LaunchOptionsKey: Any]?
    ) -> Bool {
        KeyBackup.registerBackgroundTasks { [session] in [try await session.keyBackup()] }
        return true
    }
}
// docs/ios.md end

@MainActor
final class SnippetApp {
    let session: Session

    init(_ session: Session) {
        self.session = session
    }

    func didFinishLaunching() {
        // README begin
        KeyBackup.registerBackgroundTasks { [session] in [try await session.keyBackup()] } // before the app has finished launching
        // README end
    }

    func unlock(with typed: String) async throws {
        // README begin
        // docs/ios.md begin
        let backup = try await session.keyBackup()
        try await backup.unlock(with: .recoveryKey(text: typed))
        backup.startNow() // from iOS 26 on it continues when the user leaves the app
        // docs/ios.md end
        // README end
    }

    func handleEvents(
        of downloads: BackgroundFileDownloads,
        completionHandler: @escaping @Sendable () -> Void
    ) {
        // docs/ios.md begin
        downloads.handleEvents(completionHandler: completionHandler) { [session] in
            _ = try? await session.keyBackup().runInBackground()
        }
        // docs/ios.md end
    }
}

/// The lines of a page that an app needs less often.
struct MoreOfAnApp {
    let session: Session
    let crypto = Crypto()
    let secrets: any SecretKeeper
    let signer: any BackupSigner
    let source: any RoomKeySource

    func sink() -> ClosureSink {
        // docs/ios.md begin
        let sink = ClosureSink { keys in
            try await crypto.importKeys(keys) // durable when this returns
            return keys.map { _ in .imported }
        }
        // docs/ios.md end
        return sink
    }

    func openWithOptions(_ downloads: BackgroundFileDownloads, in group: URL) async throws -> KeyBackup {
        // docs/ios.md begin
        let directory = group.appendingPathComponent("keyferry/" + session.account.deviceId) // in the app group's container
        return try await KeyBackup.open(
            account: session.account,
            directory: directory,
            protection: .keyring(keyring: KeychainKeyring(accessGroup: "group.org.example")),
            sink: session.sink,
            fileDownloads: downloads,
            downloadPolicy: DownloadPolicy(meteredBytes: 100_000_000, cores: 1)
        ) { _ in try await session.accessToken() }
        // docs/ios.md end
    }

    func decrypt(_ sessionID: String, in roomID: String, with backup: KeyBackup) async throws -> RoomKey? {
        // docs/ios.md begin
        if case .found(let key, _) = try await backup.fetchSession(sessionID, in: roomID) { return key }
        // docs/ios.md end
        return nil
    }

    func tell(_ typed: String, _ backup: KeyBackup, say: (String) -> Void) async {
        // docs/ios.md begin
        do {
            try await backup.unlock(with: .recoveryKey(text: typed))
        } catch {
            say(error.localizedDescription) // "The recovery key has a typing error. Check it."
        }
        // docs/ios.md end
    }

    func openAgain() async throws -> KeyBackup {
        // docs/ios.md begin
        do {
            return try await session.keyBackup()
        } catch let error as OpenError where error.remedy == .setVaultAside {
            _ = try await KeyBackup.setVaultAside(in: KeyBackup.directory(for: session.account.userId))
            return try await session.keyBackup()
        }
        // docs/ios.md end
    }

    func openWithCrypto() async throws -> KeyBackup {
        // docs/ios.md begin
        try await KeyBackup.open(
            account: session.account,
            sink: session.sink,
            secretKeeper: secrets, // of a type of the app's that is a SecretKeeper
            backupSigner: signer,
            roomKeySource: source
        ) { _ in try await session.accessToken() }
        // docs/ios.md end
    }

    func moveBackup(_ backup: KeyBackup, accept: @Sendable ([KeyLoss]) async -> Bool) async throws {
        // docs/reset.md begin
        // docs/ios.md begin
        let losses = try await backup.prepareReset(for: .keyCompromised).losses
        if !losses.isEmpty, await !accept(losses) { return }
        try await backup.moveBackup(for: .keyCompromised, accepting: losses)
        let report = await backup.runReset() // a processing task carries on what is left
        if report.outcome == .completed, let old = report.status?.oldVersion {
            try await backup.deleteVersion(old, accepting: losses)
        }
        // docs/ios.md end
        // docs/reset.md end
    }

    func uploadBeforeLogout(_ backup: KeyBackup) async throws -> Bool {
        // docs/ios.md begin
        if try await backup.pendingUpload().keys == 0 { return true }
        return await backup.flushUploads(budget: .seconds(20)).outcome == .completed
        // docs/ios.md end
    }

    func signOut() async throws {
        // docs/ios.md begin
        try await KeyBackup.forget(session.account.userId)
        // docs/ios.md end
    }

    func preview() -> any KeyBackupProtocol {
        // docs/ios.md begin
        FakeKeyBackup(.of(keys: 1_000), recoveryKey: "EsTc …")
        // docs/ios.md end
    }
}

/// A screen of an app.
struct Screen: View {
    let backup: KeyBackup
    @State private var isAskingForRecoveryKey = false

    var body: some View {
        // README begin
        // docs/ios.md begin
        KeyBackupProgressView(backup) { isAskingForRecoveryKey = true }
        // docs/ios.md end
        // README end
    }
}

// docs/ios.md begin
struct KeysScreen: View {
    let session: Session
    @State private var backup: KeyBackup?
    @State private var isAskingForRecoveryKey = false

    var body: some View {
        VStack {
            if let backup {
                KeyBackupProgressView(backup) { isAskingForRecoveryKey = true }
            }
        }
        .task { backup = try? await session.keyBackup() }
    }
}
// docs/ios.md end

/// A test of an app.
func launchByHand(_ session: Session) -> BGTask? {
    // docs/ios.md begin
    KeyBackup.registerBackgroundTasks(
        identifiers: BackgroundTaskIdentifiers(processing: "processing", appRefresh: "refresh", continued: "download")
    ) { [try await session.keyBackup()] }
    let task = BGTaskScheduler.shared.launch("refresh") // what iOS does some time after the request; nil without a request
    // docs/ios.md end
    return task
}

/// Stands in for the session of an app.
struct Session {
    let account: KeyBackupAccount
    let sink: ClosureSink
    let token: String

    /// Of the account that is signed in.
    nonisolated(unsafe) static var current = Session(
        account: KeyBackupAccount(homeserverUrl: "", userId: "", deviceId: ""), sink: ClosureSink { _ in [] }, token: "")

    func accessToken() async throws -> String { token }
}

/// Stands in for the crypto of an app.
actor Crypto {
    private(set) var count = 0

    func importKeys(_ keys: [RoomKey]) throws { count += keys.count }
}
#endif
