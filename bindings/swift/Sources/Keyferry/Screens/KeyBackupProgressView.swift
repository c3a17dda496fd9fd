#if canImport(SwiftUI)
import SwiftUI

/// Shows how far the download is, what it waits for, and a button for what the user can do.
///
/// ```swift
/// KeyBackupProgressView(backup) { isAskingForRecoveryKey = true }
/// ```
///
/// It has the fonts and the tint of its surroundings. An app that draws its own follows
/// ``KeyBackupProtocol/stateUpdates``, and takes its texts from ``KeyBackupState/title`` and ``KeyBackupState/detail``.
public struct KeyBackupProgressView: View {
    private let backup: any KeyBackupProtocol
    private let unlock: @MainActor () -> Void
    @State private var state: KeyBackupState

    /// Makes the view of a backup.
    ///
    /// - Parameters:
    ///   - backup: The backup, or a `FakeKeyBackup` in previews.
    ///   - unlock: Asks the user for the recovery key, and calls ``KeyBackupProtocol/unlock(with:)``.
    public init(_ backup: any KeyBackupProtocol, unlock: @escaping @MainActor () -> Void) {
        self.backup = backup
        self.unlock = unlock
        _state = State(initialValue: backup.state)
    }

    public var body: some View {
        VStack(alignment: .leading, spacing: 6) {
            Text(state.title).font(.headline)
            if state.showsBar { bar }
            Text(state.detail).font(.subheadline).foregroundStyle(.secondary)
            if let action = KeyBackupAction(for: state) {
                Button(action.title) { act(action) }
            }
        }
        // One element for VoiceOver, which does not read out every key.
        .accessibilityElement(children: .combine)
        // Another backup in its place, as after a change of the account, is followed from then on.
        .task(id: ObjectIdentifier(backup)) {
            for await now in backup.stateUpdates { state = now }
        }
    }

    @ViewBuilder private var bar: some View {
        if state.activity == .working, state.progress.total == 0 {
            ProgressView().progressViewStyle(.linear)
        } else {
            ProgressView(value: state.progress.fraction)
        }
    }

    private func act(_ action: KeyBackupAction) {
        switch action {
        case .pause: Task { try? await backup.pause() }
        case .resume:
            Task {
                try? await backup.start()
                backup.startNow()
            }
        case .unlock: unlock()
        case .retry: backup.startNow()
        }
    }
}
#endif
