package io.keyferry

import java.io.File

/**
 * Returns the options for a vault in [directory], which only this library uses, one for each account.
 *
 * @param protection how the secrets in the vault are kept
 * @param preference how the app takes part in the preference that the user's clients share; `null`: it follows it
 * @param download what the download may use; `null`: the defaults of [DownloadPolicy]
 * @param processName the name of this process, which another process reads when it asks who is running; `null`: `app`
 */
public fun ClientOptions(
    account: Account,
    directory: File,
    protection: VaultProtection,
    preference: PreferencePolicy? = null,
    download: DownloadPolicy? = null,
    processName: String? = null,
): ClientOptions = ClientOptions(account, directory.path, protection, preference, download, processName)

/**
 * Returns a policy of an app that takes part in the preference.
 *
 * @param determined what to do at sign-in if the account has a value
 * @param undetermined what to do at sign-in if the account has no value
 * @param writeUnstable whether to write the unstable form as well as the stable one, for clients from before 2026
 */
public fun PreferencePolicy.Companion.takePart(
    determined: DeterminedPolicy = DeterminedPolicy.FOLLOW,
    undetermined: UndeterminedPolicy = UndeterminedPolicy.ASK_USER,
    writeUnstable: Boolean = true,
): PreferencePolicy = PreferencePolicy.TakePart(determined, undetermined, writeUnstable)
