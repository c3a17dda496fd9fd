extension KeyBackup {
    public func startNow() {
        #if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
        if ContinuedDownloads.shared.start(self) { return }
        #endif
        Task { await run() }
    }
}
