package io.keyferry.testing

import io.keyferry.AccountDataEvent
import io.keyferry.BackupPreferenceApi
import io.keyferry.DecisionReason
import io.keyferry.PendingPreference
import io.keyferry.PreferenceNotice
import io.keyferry.PreferenceSource
import io.keyferry.PreferenceValue
import io.keyferry.PreferenceWrite
import io.keyferry.SharedPreference
import io.keyferry.SignInDecision
import kotlin.time.Duration
import kotlinx.coroutines.flow.MutableSharedFlow

/** The preference of a [FakeKeyBackup]: an account's value in memory. */
public class FakeBackupPreference : BackupPreferenceApi {
    /** The account's value. A test sets it as another client would. */
    public var value: PreferenceValue = PreferenceValue.UNDETERMINED

    /** What a write answers. After [PreferenceWrite.Pending], [flush] writes the choice once this is `Written`. */
    public var write: PreferenceWrite = PreferenceWrite.Written

    private var pending: Boolean? = null

    override val notices: MutableSharedFlow<PreferenceNotice> = MutableSharedFlow(replay = 1)

    override suspend fun decideAtSignIn(): SignInDecision {
        val isUndetermined = value == PreferenceValue.UNDETERMINED
        val reason = if (isUndetermined) DecisionReason.USER_HAS_TO_CHOOSE else DecisionReason.FOLLOWS_VALUE
        return SignInDecision(value, reason, isUndetermined, seen(), backupExists = true, write = null)
    }

    override suspend fun setEnabled(enabled: Boolean): PreferenceWrite {
        pending = enabled
        return checkNotNull(flush(null))
    }

    override suspend fun flush(budget: Duration?): PreferenceWrite? {
        val enabled = pending ?: return null
        if (write is PreferenceWrite.Written) {
            value = if (enabled) PreferenceValue.ENABLED else PreferenceValue.DISABLED
            pending = null
        }
        return write
    }

    override suspend fun pending(): PendingPreference? = pending?.let { PendingPreference(it, 1u, null) }

    override suspend fun lastSeen(): SharedPreference = seen()

    override suspend fun refresh(): SharedPreference = seen()

    override suspend fun accountDataArrived(events: List<AccountDataEvent>) {}

    private fun seen(): SharedPreference {
        val isUndetermined = value == PreferenceValue.UNDETERMINED
        return SharedPreference(value, if (isUndetermined) PreferenceSource.NOTHING else PreferenceSource.STABLE, false)
    }
}
