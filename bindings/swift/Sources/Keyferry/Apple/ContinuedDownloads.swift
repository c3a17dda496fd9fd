#if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
import BackgroundTasks
import Foundation

/// Downloads that the user has started on screen, and that continue when the user leaves the app (iOS 26).
final class ContinuedDownloads: @unchecked Sendable {
    static let shared = ContinuedDownloads()

    private let lock = NSLock()
    private var identifier: String?
    /// Backups for which iOS has taken a request and not yet started its task.
    private var requested: [KeyBackup] = []

    /// Returns false if iOS knows such tasks and does not take the identifier.
    func register(
        _ identifier: String,
        by register: (String, @escaping @Sendable (BGTask) -> Void) -> Bool
    ) -> Bool {
        // An SDK before that of iOS 26 has no such tasks.
        #if compiler(>=6.2) || canImport(AppleFoundation)
        guard #available(iOS 26.0, *) else { return true }
        let isTaken = register(identifier) { task in
            guard let task = task as? BGContinuedProcessingTask, let backup = self.takeRequested() else {
                return task.setTaskCompleted(success: true)
            }
            self.run(backup, in: task)
        }
        lock.withLock { self.identifier = isTaken ? identifier : nil }
        return isTaken
        #else
        return true
        #endif
    }

    /// Asks iOS to continue the download of this backup. Returns false if iOS does not: then the app does it itself.
    func start(_ backup: KeyBackup) -> Bool {
        #if compiler(>=6.2) || canImport(AppleFoundation)
        guard #available(iOS 26.0, *), let identifier = lock.withLock({ identifier }) else { return false }
        let state = backup.state
        let request = BGContinuedProcessingTaskRequest(
            identifier: identifier, title: state.title, subtitle: state.detail)
        // The user waits, so a place in a queue is no use.
        request.strategy = .fail
        lock.withLock { requested.append(backup) }
        do {
            try BGTaskScheduler.shared.submit(request)
            return true
        } catch {
            lock.withLock { requested.removeAll { $0 === backup } }
            return false
        }
        #else
        return false
        #endif
    }

    private func takeRequested() -> KeyBackup? {
        lock.withLock { requested.isEmpty ? nil : requested.removeFirst() }
    }

    #if compiler(>=6.2) || canImport(AppleFoundation)
    @available(iOS 26.0, *)
    private func run(_ backup: KeyBackup, in task: BGContinuedProcessingTask) {
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
            screen.show(backup.state)
            return (report, report.outcome.leavesNothingToTry)
        }
    }
    #endif
}

#if compiler(>=6.2) || canImport(AppleFoundation)
/// What iOS shows of a continued task. A task whose progress stands still is ended by iOS.
@available(iOS 26.0, *)
private final class ContinuedTaskScreen: @unchecked Sendable {
    private let task: BGContinuedProcessingTask

    init(_ task: BGContinuedProcessingTask) {
        self.task = task
        task.progress.totalUnitCount = 1_000
    }

    func show(_ state: KeyBackupState) {
        task.updateTitle(state.title, subtitle: state.detail)
        // Of both stages: a bar that goes back to the beginning would look like a fault.
        let progress = state.progress
        let whole = Double(max(progress.total, 1)) * 2
        task.progress.completedUnitCount = Int64(Double(progress.fetched + progress.opened + progress.failed) / whole * 1_000)
    }
}
#endif
#endif
