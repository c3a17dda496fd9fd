extension KeyBackup {
    public func startNow() {
        // Not on the main thread: iOS takes its time to answer.
        Task.detached { [self] in
            #if canImport(BackgroundTasks) && canImport(UIKit) && !os(watchOS)
            if ContinuedDownloads.shared.start(self) { return }
            #endif
            _ = await run()
        }
    }
}
