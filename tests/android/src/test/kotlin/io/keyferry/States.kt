package io.keyferry

import io.keyferry.testing.fakeProgress
import kotlin.time.Duration.Companion.seconds

/** One state of each kind that a user can see. */
internal object States {
    val working = KeyBackupState.Working(
        fakeProgress(DownloadStage.DELIVERING, 50_000u, 50_000u, 12_345u, keysPerSecond = 310u, timeLeft = 121.seconds),
    )
    private val half = fakeProgress(total = 50_000u, fetched = 25_000u, delivered = 20_000u)
    private val all = fakeProgress(total = 50_000u, fetched = 50_000u, delivered = 50_000u)

    val metered = KeyBackupState.Paused(half, setOf(PauseCause.IN_BACKGROUND, PauseCause.METERED_NETWORK))
    val needsUnlock = KeyBackupState.NeedsUnlock(fakeProgress(total = 50_000u, fetched = 50_000u))
    val failed = KeyBackupState.Failed(half, RunFailure.DiskFull)
    val done = KeyBackupState.Done(all, everyKeyIsHere = true)

    val blocked = listOf(
        BlockedReason.Offline,
        BlockedReason.RateLimited,
        BlockedReason.ServerFault,
        BlockedReason.NotTheHomeserver,
        BlockedReason.NoAccessToken,
        BlockedReason.RoomsUnavailable(1u),
        BlockedReason.RoomsUnavailable(2u),
        BlockedReason.BackupChanging,
        BlockedReason.WaitsForFile,
        BlockedReason.SinkUnavailable,
        BlockedReason.CryptoUnavailable,
        BlockedReason.VaultBusy(null),
        BlockedReason.VaultInaccessible,
    )
    val failures = listOf(
        RunFailure.NoBackup,
        RunFailure.BackupNotServed,
        RunFailure.UnsupportedAlgorithm,
        RunFailure.NotSignedIn(softLogout = false),
        RunFailure.RefusedByServer,
        RunFailure.Tls,
        RunFailure.DiskFull,
        RunFailure.Overtaken,
        RunFailure.VaultGone,
        RunFailure.VaultDamaged,
        RunFailure.Internal,
    )

    val every: List<KeyBackupState> = DownloadStage.entries.map { KeyBackupState.Working(half.copy(stage = it)) } +
        PauseCause.entries.map { KeyBackupState.Paused(half, setOf(it)) } +
        blocked.map { KeyBackupState.Waiting(half, it) } +
        failures.map { KeyBackupState.Failed(half, it) } +
        listOf(
            KeyBackupState.Idle(fakeProgress()),
            KeyBackupState.Idle(half),
            KeyBackupState.Stopped(half),
            needsUnlock,
            KeyBackupState.Short(half, 1u),
            KeyBackupState.Short(half, 2_000u),
            done,
            KeyBackupState.Done(all, everyKeyIsHere = false),
        )
}
