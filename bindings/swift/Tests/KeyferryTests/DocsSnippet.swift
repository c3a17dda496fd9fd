#if os(Linux)
import Foundation
import Keyferry
import XCTest

/// Belongs to the main actor, as an app delegate does.
@MainActor
private final class AppDelegate {
    let roomKeys: RoomKeys
    let session: AppSession
    var downloads: BackgroundFileDownloads?

    init(_ session: AppSession) {
        self.session = session
        roomKeys = RoomKeys(of: session)
    }

    func launch(filesDirectory: URL) throws {
        let roomKeys = roomKeys
        // docs begin
        // At launch, before it has finished. Info.plist names the tasks, and the modes "fetch" and "processing".
        let downloads = try BackgroundFileDownloads(identifier: "org.example.keys.files", directory: filesDirectory)
        for (identifier, budget) in [("org.example.keys", 120.0), ("org.example.keys.refresh", 25.0)] {
            // @Sendable: the OS calls it on a queue of its own, and an app delegate's closures belong to the main one.
            BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil) { @Sendable task in
                KeyBackup.run(in: task, budget: budget) { try await roomKeys.backup() }
            }
        }
        // docs end
        self.downloads = downloads
    }

    func handleEvents(completionHandler: @escaping @Sendable () -> Void) {
        guard let downloads else { return }
        let roomKeys = roomKeys
        // docs begin
        // In application(_:handleEventsForBackgroundURLSession:completionHandler:).
        downloads.handleEvents(completionHandler: completionHandler) {
            _ = try? await roomKeys.backup().runInBackground(budget: 20)
        }
        // docs end
    }
}

/// Opens a backup as the README's `RoomKeys` does, outside the main actor.
private func openBackup(
    of session: AppSession,
    account: Account,
    in directory: URL,
    protection: VaultProtection,
    downloads: BackgroundFileDownloads
) async throws {
    let preferenceTasks = BackgroundTaskIdentifiers(processing: "org.example.preference")
    // docs begin
    // In `backup()` of the README's `RoomKeys`: once in a process, until the account signs out. `preferenceTasks` are
    // registered likewise, with KeyBackup.flush(in:).
    let tasks = BackgroundTaskIdentifiers(processing: "org.example.keys", appRefresh: "org.example.keys.refresh")
    let backup = try await KeyBackup.open(
        account: account, directory: directory, protection: protection, fileDownloads: downloads,
        scheduleWakeUp: { try BGTaskScheduler.shared.keep($1, as: $0 == .download ? tasks : preferenceTasks) }
    ) { _ in try await session.accessToken() }
    let conditions = await PhoneConditions(of: backup) // to be kept with it
    // docs end
    withExtendedLifetime(conditions) { backup.close() }
}

/// Runs the lines that the documentation shows for a phone, with stand-ins for its parts.
final class DocsTests: BackupTestCase {
    func testTheDocsContainEverySnippet() throws {
        let here = URL(fileURLWithPath: #filePath)
        let project = (0..<5).reduce(here) { place, _ in place.deletingLastPathComponent() }
        let docs = try String(contentsOf: project.appendingPathComponent("docs/background-execution.md"), encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        let parts = source.components(separatedBy: "// docs begin\n").dropFirst()
        XCTAssertEqual(parts.count, 3)
        for part in parts {
            let lines = part.components(separatedBy: "// docs end")[0].split(separator: "\n").dropLast()
            let indentation = lines.first?.prefix { $0 == " " }.count ?? 0
            let snippet = lines.map { $0.dropFirst(indentation) }.joined(separator: "\n")
            XCTAssertTrue(docs.contains(snippet), "not in the docs: \(snippet)")
        }
    }

    func testAnAppDelegateCanRegisterATask() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let session = AppSession(homeserver, directory: try newDirectory())
        let delegate = await AppDelegate(session)
        try await delegate.launch(filesDirectory: newDirectory())
        let recoveryKey = homeserver.details.recoveryKey
        try await delegate.roomKeys.backup().unlock(with: .recoveryKey(text: recoveryKey))
        let (told, tell) = AsyncStream.makeStream(of: Bool.self)

        BGTaskScheduler.shared.launch("org.example.keys", with: BGTask { tell.yield($0) })
        let success = try await notHanging { await told.first { _ in true } }

        XCTAssertEqual(success, true)
        let count = await session.crypto.count
        XCTAssertEqual(count, 100)
        await delegate.roomKeys.signOut()
    }

    func testTheEventsOfASessionStartARunInTheBackground() async throws {
        let homeserver = try TestHomeserver(keys: 100, rooms: 2)
        let session = AppSession(homeserver, directory: try newDirectory())
        let delegate = await AppDelegate(session)
        try await delegate.launch(filesDirectory: newDirectory())
        let backup = try await delegate.roomKeys.backup()
        try await backup.unlock(with: .recoveryKey(text: homeserver.details.recoveryKey))
        try await backup.pause(.inBackground)
        let (done, tell) = AsyncStream.makeStream(of: Void.self)

        await delegate.handleEvents { tell.yield() }
        try await notHanging { for await _ in done { break } }

        let status = try await backup.status()
        XCTAssertTrue(status.fetchComplete)
        XCTAssertEqual(status.causes, [.inBackground])
        await delegate.roomKeys.signOut()
    }
}
#endif
