
extension DownloadProgress {
    /// Makes the progress to show while no run is under way, from what the vault holds; `nil` if that is not known.
    package init(restingAt summary: DownloadSummary?) {
        self.init(
            stage: .resting,
            total: summary?.total ?? 0,
            fetched: summary?.fetched ?? 0,
            opened: summary?.opened ?? 0,
            delivered: summary?.delivered ?? 0,
            failed: summary?.failed ?? 0,
            refused: summary?.refused ?? 0,
            conflicts: summary?.conflicts ?? 0,
            locked: summary?.locked ?? 0,
            rooms: summary?.rooms ?? 0
        )
    }
}
