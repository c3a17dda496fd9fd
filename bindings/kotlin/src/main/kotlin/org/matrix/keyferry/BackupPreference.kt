package org.matrix.keyferry

import kotlin.time.Duration
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.asSharedFlow
import org.matrix.keyferry.ffi.AccountDataEvent
import org.matrix.keyferry.ffi.KeyBackupPreference
import org.matrix.keyferry.ffi.PendingPreference
import org.matrix.keyferry.ffi.PreferenceNotice
import org.matrix.keyferry.ffi.PreferenceWrite
import org.matrix.keyferry.ffi.SharedPreference
import org.matrix.keyferry.ffi.SignInDecision

/**
 * Whether the user wants room keys to be backed up, as all their clients share it (MSC4287). Get it from
 * [KeyBackup.preference].
 *
 * It decides about *backing up* only: a backup that exists may be restored from whatever it says. It switches nothing by
 * itself; the app acts on what it is told. Every call throws `PreferenceException`.
 */
public class BackupPreference internal constructor(
    private val preference: KeyBackupPreference,
    callbacks: HostCallbacks,
) {
    /** What another device has changed: show it. A new collector gets the last one at once. */
    public val notices: SharedFlow<PreferenceNotice> = callbacks.preferenceNotices.asSharedFlow()

    /**
     * What to do about backups on this device, now that the user has signed in. Ask before joining an existing backup as
     * well as before creating one. An exception is no decision: leave backups as they are and ask again.
     */
    public suspend fun decideAtSignIn(): SignInDecision = preference.decideAtSignIn()

    /**
     * The user turns backups on or off. The wish is durable when this returns; the last one counts. Delete or create a
     * backup only after [PreferenceWrite.Written]. Cancelled on its way the wish may be there: [pending] tells.
     */
    public suspend fun setEnabled(enabled: Boolean): PreferenceWrite = preference.setEnabled(enabled)

    /** Writes a wish that is pending: on a wake-up, when the network is back, and on start. `null` if there is none. */
    public suspend fun flush(budget: Duration? = null): PreferenceWrite? = preference.flush(budget.toRunBudget())

    /** The wish that is not yet written, if there is one. Without network. */
    public suspend fun pending(): PendingPreference? = preference.pending()

    /** The account's value as it was seen last on this device. Without network. */
    public suspend fun lastSeen(): SharedPreference? = preference.lastSeen()

    /** Reads the account's value now. It switches nothing. */
    public suspend fun refresh(): SharedPreference = preference.refresh()

    /**
     * Takes note of account data that a sync has brought: pass all events of one answer at once, and one answer after the
     * other. It switches nothing; changes come by [notices].
     */
    public suspend fun accountDataArrived(events: List<AccountDataEvent>) {
        preference.accountDataArrived(events)
    }
}
