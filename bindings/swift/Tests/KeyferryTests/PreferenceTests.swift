import XCTest

@testable import Keyferry

private let stable = "m.key_backup"
private let unstable = "m.org.matrix.custom.backup_disabled"

final class PreferenceTests: BackupTestCase {
    func testAPreferenceTurnedOffOnOneDeviceIsOffOnAnother() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let first = try await open(homeserver, in: newDirectory())
        let write = try await first.preference.setEnabled(false)
        XCTAssertEqual(write, .written)
        first.close()
        let forms = try await (homeserver.accountData(stable), homeserver.accountData(unstable))
        XCTAssertEqual(forms.0, #"{"enabled":false}"#)
        XCTAssertEqual(forms.1, #"{"disabled":true}"#)

        let second = try await open(homeserver, in: newDirectory())
        let decision = try await second.preference.decideAtSignIn()
        XCTAssertEqual(decision.backups, .disabled)
        XCTAssertEqual(decision.reason, .followsValue)
        XCTAssertEqual(decision.preference.source, .stable)
        XCTAssertTrue(decision.backupExists)
        XCTAssertFalse(decision.askUser)
        second.close()
    }

    func testTheUserIsAskedIfNoPreferenceIsSetAndTheAnswerIsWritten() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        let isOn = try await signIn(backup) { $0 == .undetermined }
        XCTAssertTrue(isOn)
        let written = try await homeserver.accountData(stable)
        XCTAssertEqual(written, #"{"enabled":true}"#)
        backup.close()
    }

    func testAnUnwrittenPreferenceIsKeptRequestsAWakeUpAndIsWrittenLater() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let directory = try newDirectory()
        let wakeUps = WakeUps()
        try await homeserver.setFaults(#"[{"kind":"status","code":503,"endpoint":"put_account_data"}]"#)
        let first = try await open(homeserver, in: directory, wakeUps: wakeUps)
        let write = try await first.preference.setEnabled(true)
        guard case .pending(.unreachable, _) = write else { return XCTFail("outcome: \(write)") }
        let pending = try await first.preference.pending()
        XCTAssertEqual(pending?.enabled, true)
        let wanted = await wakeUps.latest(.preferenceWrite)
        XCTAssertEqual(wanted?.needsNetwork, true)
        first.close()

        try await homeserver.setFaults("[]")
        let second = try await open(homeserver, in: directory, wakeUps: wakeUps)
        let flushed = try await second.preference.flush(budget: .seconds(20))
        XCTAssertEqual(flushed, .written)
        let left = try await second.preference.pending()
        XCTAssertNil(left)
        let again = try await second.preference.flush()
        XCTAssertNil(again)
        let cancelled = await wakeUps.latest(.preferenceWrite)
        XCTAssertNil(cancelled)
        second.close()
        let written = try await homeserver.accountData(unstable)
        XCTAssertEqual(written, #"{"disabled":false}"#)
    }

    func testAChangeByAnotherDeviceReachesEarlierAndLaterListeners() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let backup = try await open(homeserver, in: newDirectory())
        let early = backup.preference.notices
        _ = try await backup.preference.setEnabled(true)
        try await backup.preference.accountDataArrived([
            AccountDataEvent(eventType: stable, contentJson: #"{"enabled":true}"#)
        ])
        try await backup.preference.accountDataArrived([
            AccountDataEvent(eventType: stable, contentJson: #"{"enabled":false}"#)
        ])
        for listener in [early, backup.preference.notices] {
            let notice = try await notHanging { await listener.first { _ in true } }
            XCTAssertEqual(notice?.before?.value, .enabled)
            XCTAssertEqual(notice?.now.value, .disabled)
            XCTAssertEqual(notice?.now.formsDisagree, true)
        }
        let seen = try await backup.preference.lastSeen()
        XCTAssertEqual(seen?.value, .disabled)
        let onServer = try await homeserver.accountData(stable)
        XCTAssertEqual(onServer, #"{"enabled":true}"#, "nothing is written in answer")
        backup.close()
    }

    func testTheResolverDecidesAConflictAndLeavesTheWritePendingIfItThrows() async throws {
        struct NoScreen: Error {}
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let directory = try newDirectory()
        let silent = try await openResolving(homeserver, in: directory) { _ in throw NoScreen() }
        _ = try await silent.preference.setEnabled(true)
        try await homeserver.setFaults(#"[{"kind":"status","code":503,"endpoint":"get_account_data"}]"#)
        _ = try await silent.preference.setEnabled(true)
        try await homeserver.setFaults("[]")
        try await homeserver.putAccountData(stable, #"{"enabled":false}"#)
        let write = try await silent.preference.flush()
        guard case .pending(.changedMeanwhile(let theirs), _) = write else {
            return XCTFail("outcome: \(String(describing: write))")
        }
        XCTAssertEqual(theirs.value, .disabled)
        silent.close()

        let asking = try await openResolving(homeserver, in: directory) { conflict in
            conflict.ours ? .takeTheirs : .keepOurs
        }
        let taken = try await asking.preference.flush()
        XCTAssertEqual(taken, .theirsTaken(theirs: theirs))
        asking.close()
    }

    func testAnUnusableAnswerThrowsUnreachableAndOptingOutThrowsOptedOut() async throws {
        let homeserver = try TestHomeserver(keys: 10, rooms: 1)
        let token = homeserver.details.accessToken
        let open = { (directory: URL, policy: PreferencePolicy) in
            try await KeyBackup.open(
                account: homeserver.account,
                directory: directory,
                protection: .key(key: self.vaultKey),
                preferencePolicy: policy
            ) { _ in token }
        }
        try await homeserver.setFaults(#"[{"kind":"not_json","endpoint":"get_account_data"}]"#)
        let choosing = try await open(
            newDirectory(),
            .takePart(determined: .follow, undetermined: .chooseOn, writeUnstable: true)
        )
        await assertThrows(AccessError.unreachable(retryAfter: nil)) {
            _ = try await choosing.preference.decideAtSignIn()
        }
        choosing.close()
        try await homeserver.setFaults("[]")
        let outside = try await open(newDirectory(), .optOut)
        await assertThrows(AccessError.notConfigured) { _ = try await outside.preference.setEnabled(true) }
        await assertThrows(AccessError.notConfigured) { _ = try await outside.preference.decideAtSignIn() }
        outside.close()
        let written = try await homeserver.accountData(stable)
        XCTAssertNil(written)
    }

    private func openResolving(
        _ homeserver: TestHomeserver,
        in directory: URL,
        _ resolve: @escaping @Sendable (PreferenceConflict) async throws -> PreferenceResolution
    ) async throws -> KeyBackup {
        let token = homeserver.details.accessToken
        return try await KeyBackup.open(
            account: homeserver.account,
            directory: directory,
            protection: .key(key: vaultKey),
            resolvePreferenceConflict: resolve
        ) { _ in token }
    }
}
