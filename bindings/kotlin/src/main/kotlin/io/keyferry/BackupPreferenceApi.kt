package io.keyferry

import kotlin.time.Duration
import kotlinx.coroutines.flow.SharedFlow

/**
 * The user's preference on whether room keys are backed up, which all their clients share (MSC4287). Get it from
 * [KeyBackupApi.preference].
 *
 * It is about *backing up* only: an existing backup may be restored from whatever the preference says. Nothing here
 * switches backups on or off; the app does that.
 */
public interface BackupPreferenceApi {
    /**
     * Changes that another device has made to the preference, for the app to show. A new collector gets the last one
     * at once; a collector that falls 64 notices behind misses the oldest.
     */
    public val notices: SharedFlow<PreferenceNotice>

    /**
     * Decides what to do about backups on this device after the user has signed in. Call it before the app joins an
     * existing backup as well as before it creates one. Takes up to about 20 seconds, plus the time that
     * `resolvePreferenceConflict` takes to answer.
     *
     * ```
     * val decision = backup.preference.decideAtSignIn()
     * if (decision.askUser) backup.preference.setEnabled(askUser(default = decision.backups))
     * ```
     *
     * @throws AccessException if nothing could be decided: leave backups as they are and
     *   call this again
     */
    public suspend fun decideAtSignIn(): SignInDecision

    /**
     * Keeps the user's choice to turn backups on or off, and writes it to the account. The choice is durable when
     * this returns, and the last choice counts. Delete or create a backup only after [PreferenceWrite.Written]. Takes
     * up to about 10 seconds, plus the time that `resolvePreferenceConflict` takes to answer.
     *
     * If the coroutine is cancelled, the choice may have been kept: [pending] returns it then.
     *
     * @throws AccessException if the choice could not be kept. A server that cannot be
     *   reached is no exception: the result is [PreferenceWrite.Pending] then
     */
    public suspend fun setEnabled(enabled: Boolean): PreferenceWrite

    /**
     * Writes a pending choice to the account. Call it on a wake-up, when the network is back, and when the app
     * starts. A worker calls [KeyBackupApi.work] instead.
     *
     * @param budget time after which this returns; `null`: two minutes at most
     * @return `null` if no choice is pending; then no request is made
     * @throws AccessException if the app takes no part in the preference, or the vault
     *   cannot be read or written
     */
    public suspend fun flush(budget: Duration? = null): PreferenceWrite?

    /**
     * Returns the choice that is not yet written to the account, or `null`. Uses no network.
     *
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun pending(): PendingPreference?

    /**
     * Returns the account's value as this device saw it last, or `null` if it never did. Uses no network.
     *
     * @throws AccessException if the vault cannot be read
     */
    public suspend fun lastSeen(): SharedPreference?

    /**
     * Reads the account's value from the server, in up to about 10 seconds. A change also comes by [notices].
     *
     * @throws AccessException if the value cannot be read
     */
    public suspend fun refresh(): SharedPreference

    /**
     * Takes note of the account data in a sync response. Pass all its events in one call, and the responses one after
     * the other; events of other types are ignored. Changes come by [notices].
     *
     * @throws AccessException if the app takes no part in the preference, or the vault
     *   cannot be read or written
     */
    public suspend fun accountDataArrived(events: List<AccountDataEvent>)
}
