#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import BackgroundTasks
import Foundation

/// Downloads that the user has started on screen, and that continue when the user leaves the app (iOS 26).
final class ContinuedDownloads: @unchecked Sendable {
    static let shared = ContinuedDownloads()

    /// How long iOS may take to start a task that it has taken.
    var patience = Duration.seconds(5)

    private let lock = NSLock()
    private var prefix: String?
    /// The backups that have a task, by the identifiers of the tasks.
    private var requested: [String: KeyBackup] = [:]
    private var launched: [String: KeyBackup] = [:]

    /// Takes the beginning of the identifiers; `nil`: there are no such tasks.
    func use(_ prefix: String?) {
        lock.withLock { self.prefix = prefix }
    }

    /// Asks iOS to continue the download of this backup. Returns false if iOS does not: then the app does it itself.
    func start(_ backup: KeyBackup) -> Bool {
        // An SDK before that of iOS 26 has no such tasks, and neither have the other systems with UIKit.
        #if (compiler(>=6.2) && !os(tvOS) && !os(visionOS) && !targetEnvironment(macCatalyst)) || canImport(AppleFoundation)
        guard #available(iOS 26.0, *) else { return false }
        switch begin(backup) {
        case .isUnderWay: return true
        case .impossible: return false
        case .toBeRequested(let identifier): return request(backup, identifier)
        }
        #else
        return false
        #endif
    }
}

#if (compiler(>=6.2) && !os(tvOS) && !os(visionOS) && !targetEnvironment(macCatalyst)) || canImport(AppleFoundation)
@available(iOS 26.0, *)
extension ContinuedDownloads {
    private enum Beginning {
        case isUnderWay, impossible, toBeRequested(String)
    }

    private func begin(_ backup: KeyBackup) -> Beginning {
        lock.withLock {
            guard let prefix else { return .impossible }
            if requested.values.contains(where: { $0 === backup }) { return .isUnderWay }
            if launched.values.contains(where: { $0 === backup }) {
                // A task that is ending does no more: the app does.
                return backup.state.activity == .working ? .isUnderWay : .impossible
            }
            let identifier = "\(prefix).\(UUID().uuidString)"
            requested[identifier] = backup
            return .toBeRequested(identifier)
        }
    }

    private func request(_ backup: KeyBackup, _ identifier: String) -> Bool {
        let state = KeyBackupState(.working, backup.progress)
        let request = BGContinuedProcessingTaskRequest(
            identifier: identifier, title: state.title, subtitle: state.detail)
        // The user waits, so a place in a queue is no use.
        request.strategy = .fail
        // A task of this kind may be registered at any time. The handler stays for good, and so must not hold the backup.
        let isTaken = BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil) { @Sendable task in
            self.launch(task)
        }
        if isTaken, (try? BGTaskScheduler.shared.submit(request)) != nil {
            runUnlessLaunched(backup, identifier)
            return true
        }
        if !isTaken { NSLog("keyferry: BGTaskSchedulerPermittedIdentifiers in Info.plist does not cover %@", identifier) }
        lock.withLock { _ = requested.removeValue(forKey: identifier) }
        return false
    }

    /// Does the download in the app if iOS takes a request and starts no task.
    private func runUnlessLaunched(_ backup: KeyBackup, _ identifier: String) {
        Task {
            try await Task.sleep(for: patience)
            let isForgotten = lock.withLock { requested.removeValue(forKey: identifier) != nil }
            guard isForgotten else { return }
            BGTaskScheduler.shared.cancel(taskRequestWithIdentifier: identifier)
            _ = await backup.run()
        }
    }

    private func launch(_ task: BGTask) {
        let backup = lock.withLock { () -> KeyBackup? in
            launched[task.identifier] = requested.removeValue(forKey: task.identifier)
            return launched[task.identifier]
        }
        guard let task = task as? BGContinuedProcessingTask, let backup else {
            return task.setTaskCompleted(success: true)
        }
        let screen = ContinuedTaskScreen(task)
        _ = BackgroundWork.begin(in: task) {
            let display = Task {
                for await state in backup.stateUpdates {
                    screen.show(state)
                    try await Task.sleep(for: .seconds(1))
                }
            }
            let report = await backup.runInBackground(budget: nil)
            display.cancel()
            _ = await display.result
            screen.show(backup.state)
            self.lock.withLock { _ = self.launched.removeValue(forKey: screen.identifier) }
            return (report, report.outcome.leavesNothingToTry)
        }
    }
}

/// What iOS shows of a continued task. A task whose progress stands still is ended by iOS.
@available(iOS 26.0, *)
private final class ContinuedTaskScreen: @unchecked Sendable {
    let identifier: String
    private let task: BGContinuedProcessingTask

    init(_ task: BGContinuedProcessingTask) {
        self.task = task
        identifier = task.identifier
        task.progress.totalUnitCount = 1_000
    }

    func show(_ state: KeyBackupState) {
        task.updateTitle(state.title, subtitle: state.detail)
        // Of both stages: a bar that goes back to the beginning would look like a fault.
        let progress = state.progress
        let whole = Double(max(progress.total, 1)) * 2
        let done = Double(progress.fetched + progress.opened + progress.failed)
        task.progress.completedUnitCount = Int64(min(done / whole, 1) * 1_000)
    }
}
#endif
#endif
