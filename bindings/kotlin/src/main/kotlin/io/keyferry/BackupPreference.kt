package io.keyferry

import kotlin.time.Duration
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.asSharedFlow

/** The user's preference over the generated client. */
internal class BackupPreference(
    private val preference: KeyBackupPreference,
    callbacks: HostCallbacks,
) : BackupPreferenceApi {
    override val notices: SharedFlow<PreferenceNotice> = callbacks.preferenceNotices.asSharedFlow()

    override suspend fun decideAtSignIn(): SignInDecision = preference.decideAtSignIn()

    override suspend fun setEnabled(enabled: Boolean): PreferenceWrite = preference.setEnabled(enabled)

    override suspend fun flush(budget: Duration?): PreferenceWrite? = preference.flush(budget.toRunBudget())

    override suspend fun pending(): PendingPreference? = preference.pending()

    override suspend fun lastSeen(): SharedPreference? = preference.lastSeen()

    override suspend fun refresh(): SharedPreference = preference.refresh()

    override suspend fun accountDataArrived(events: List<AccountDataEvent>): Unit =
        preference.accountDataArrived(events)
}
