extension KeyBackupState {
    /// The headline, such as "Downloading message keys", in the language of the app.
    public var title: String { title(.current) }

    /// The line below the headline: how far the download is, what it waits for, or what the user can do. In the language
    /// of the app.
    public var detail: String { detail(.current) }

    func title(_ texts: Texts) -> String {
        let name =
            switch activity {
            case .idle: "keyferry_idle"
            case .working: progress.titleName
            case .paused: "keyferry_paused"
            case .stopped: "keyferry_stopped"
            case .needsUnlock: "keyferry_needs_unlock"
            case .waiting: "keyferry_waiting"
            case .short: "keyferry_short"
            case .done(everyKeyIsHere: true): "keyferry_done"
            case .done(everyKeyIsHere: false): "keyferry_done_with_gaps"
            case .failed: "keyferry_failed"
            }
        return texts.text(name)
    }

    func detail(_ texts: Texts) -> String {
        switch activity {
        case .idle:
            progress.total == 0
                ? texts.text("keyferry_not_started") : texts.text("keyferry_keys_go_on", progress.keys(texts))
        case .working: progress.keysAndTime(texts)
        case .paused(let causes): texts.text(causes.mostUseful.textName)
        case .stopped: texts.text("keyferry_stopped_detail")
        case .needsUnlock: texts.text("keyferry_needs_unlock_detail")
        case .waiting(let reason): reason.text(texts)
        case .short(let missing):
            texts.text("keyferry_keys_missing", quantity: missing, texts.number(missing))
        case .done(everyKeyIsHere: true):
            texts.text("keyferry_keys", quantity: progress.done, texts.number(progress.done))
        case .done(everyKeyIsHere: false): texts.text("keyferry_done_with_gaps_detail")
        case .failed(let reason): texts.text(reason.textName)
        }
    }
}

extension DownloadProgress {
    /// Keys that the stage in the headline is done with; between runs, those that can be read, or else those here.
    var done: UInt64 {
        switch stage {
        case .preparing, .fetching, .waitingToRetry: fetched
        case .opening, .delivering: opened + failed
        case .resting: opened > 0 ? opened + failed : fetched
        }
    }

    /// How much of the whole the stage in the headline is done with, from 0 to 1.
    public var fraction: Double {
        total == 0 ? 0 : Double(min(done, total)) / Double(total)
    }

    fileprivate func keys(_ texts: Texts) -> String {
        texts.text("keyferry_keys_of", quantity: total, texts.number(done), texts.number(total))
    }

    fileprivate func keysAndTime(_ texts: Texts) -> String {
        if total == 0 { return "" }
        guard let timeLeft else { return keys(texts) }
        let minutes = UInt64(clamping: timeLeft.components.seconds) / 60 + 1
        let (name, quantity) =
            minutes < 120 ? ("keyferry_minutes_left", minutes) : ("keyferry_hours_left", minutes / 60)
        let left = texts.text(name, quantity: quantity, texts.number(quantity))
        return texts.text("keyferry_keys_and_time", keys(texts), left)
    }
}

extension DownloadProgress {
    fileprivate var titleName: String {
        switch stage {
        case .preparing: "keyferry_preparing"
        // Before the first figures of a run, and after its last.
        case .resting: total > 0 && fetched >= total ? "keyferry_delivering" : "keyferry_preparing"
        case .fetching: "keyferry_fetching"
        case .waitingToRetry: "keyferry_waiting_to_retry"
        case .opening: "keyferry_opening"
        case .delivering: "keyferry_delivering"
        }
    }
}

extension Set<PauseCause> {
    /// The one to show: causes that a user can do something about come first.
    fileprivate var mostUseful: PauseCause {
        let order: [PauseCause] = [
            .user, .diskLimit, .offline, .meteredNetwork, .lowPower, .notCharging, .thermal, .storageLocked,
            .inBackground,
        ]
        return order.first(where: contains) ?? .timeExpiring
    }
}

extension PauseCause {
    fileprivate var textName: String {
        switch self {
        case .user: "keyferry_cause_user"
        case .inBackground: "keyferry_cause_in_background"
        case .timeExpiring: "keyferry_cause_time_expiring"
        case .lowPower: "keyferry_cause_low_power"
        case .thermal: "keyferry_cause_thermal"
        case .meteredNetwork: "keyferry_cause_metered_network"
        case .offline: "keyferry_cause_offline"
        case .notCharging: "keyferry_cause_not_charging"
        case .storageLocked: "keyferry_cause_storage_locked"
        case .diskLimit: "keyferry_cause_disk_limit"
        }
    }
}

extension BlockedReason {
    fileprivate func text(_ texts: Texts) -> String {
        switch self {
        case .roomsUnavailable(let rooms):
            texts.text("keyferry_blocked_rooms", quantity: UInt64(rooms), texts.number(UInt64(rooms)))
        case .offline: texts.text("keyferry_blocked_offline")
        case .rateLimited: texts.text("keyferry_blocked_rate_limited")
        case .serverFault: texts.text("keyferry_blocked_server_fault")
        case .noAccessToken: texts.text("keyferry_blocked_no_token")
        case .notTheHomeserver: texts.text("keyferry_blocked_not_the_homeserver")
        case .backupChanging: texts.text("keyferry_blocked_backup_changing")
        case .waitsForFile: texts.text("keyferry_blocked_file")
        case .sinkUnavailable: texts.text("keyferry_blocked_sink")
        case .cryptoUnavailable: texts.text("keyferry_blocked_crypto")
        case .vaultBusy: texts.text("keyferry_blocked_busy")
        case .vaultInaccessible: texts.text("keyferry_blocked_inaccessible")
        }
    }
}

extension RunFailure {
    fileprivate var textName: String {
        switch self {
        case .noBackup: "keyferry_error_no_backup"
        case .backupNotServed: "keyferry_error_not_served"
        case .unsupportedAlgorithm: "keyferry_error_unsupported"
        case .notSignedIn: "keyferry_error_not_signed_in"
        case .refusedByServer: "keyferry_error_refused"
        case .tls: "keyferry_error_tls"
        case .diskFull: "keyferry_error_disk_full"
        case .overtaken: "keyferry_error_busy"
        case .vaultGone: "keyferry_error_gone"
        case .vaultDamaged: "keyferry_error_damaged"
        case .internal: "keyferry_error_internal"
        }
    }
}
