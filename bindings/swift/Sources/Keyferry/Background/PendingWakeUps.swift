import Foundation

/// The wake-ups that the accounts of the app have asked for: iOS keeps one request of each kind for the whole app. They are
/// kept in a file, because a process may open only one of several accounts, and must not cancel what the others need.
struct PendingWakeUps: Codable, Equatable {
    /// What a wake-up is for, as the file has it.
    enum Purpose: String, Codable {
        case preferenceWrite, download, reset, upload

        init(_ purpose: WakeUpPurpose) {
            self =
                switch purpose {
                case .preferenceWrite: .preferenceWrite
                case .download: .download
                case .reset: .reset
                case .upload: .upload
                }
        }
    }

    /// A wake-up, of one purpose of one account.
    struct Entry: Codable, Equatable {
        let userID: String
        let purpose: Purpose
        let notBefore: Date
        let needsNetwork: Bool
        let needsUnmetered: Bool
        let needsCharging: Bool
        let expectedBytes: UInt64
    }

    private(set) var entries: [Entry] = []

    /// Takes a wake-up in place of the last one of its purpose and account; `nil` removes the last one.
    mutating func keep(_ wakeUp: WakeUp?, for purpose: WakeUpPurpose, of userID: String, now: Date) {
        let purpose = Purpose(purpose)
        entries.removeAll { $0.userID == userID && $0.purpose == purpose }
        guard let wakeUp else { return }
        entries.append(
            Entry(
                userID: userID,
                purpose: purpose,
                notBefore: now.addingTimeInterval(wakeUp.notBefore.timeInterval),
                needsNetwork: wakeUp.needsNetwork,
                needsUnmetered: wakeUp.needsUnmetered,
                needsCharging: wakeUp.needsCharging,
                expectedBytes: wakeUp.expectedBytes
            ))
    }

    /// Removes the wake-ups of an account.
    mutating func removeAll(of userID: String) {
        entries.removeAll { $0.userID == userID }
    }

    /// Removes the wake-ups of all other accounts.
    mutating func removeAll(except userIDs: Set<String>) {
        entries.removeAll { !userIDs.contains($0.userID) }
    }

    /// Returns the requests to make: at most one of each kind.
    func plans(mayRefresh: Bool) -> [BackgroundTaskPlan] {
        var plans: [BackgroundTaskPlan] = []
        for entry in entries {
            let plan = BackgroundTaskPlan(entry, mayRefresh: mayRefresh)
            if let same = plans.firstIndex(where: { $0.kind == plan.kind }) {
                plans[same].include(plan)
            } else {
                plans.append(plan)
            }
        }
        return plans
    }
}
