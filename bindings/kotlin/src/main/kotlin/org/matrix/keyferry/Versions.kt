package org.matrix.keyferry

/**
 * Fetches a backup version by its number, as long as the server answers for it, whatever it says is the current one: for a
 * number that the app knows from its own crypto store. Asks for a wake-up. Throws `StatusException`.
 */
public suspend fun KeyBackup.includeVersion(version: String) {
    download.includeVersion(version)
}

/**
 * Accepts that the server does not give all the keys that it counts in a version: up to [most] may be missing, and the
 * outcome is `Completed` then. 0 takes it back. False if the vault knows no version of that number with that [publicKey],
 * which `VersionStatus` has. Throws `StatusException`.
 */
public suspend fun KeyBackup.acceptShortfall(version: String, publicKey: String, most: ULong): Boolean =
    download.acceptShortfall(version, publicKey, most)

/**
 * Gives a version up that nobody can unlock: outcomes do not name it any more, and what is fetched of it stays, sealed. False
 * if the vault knows no version of that number. Throws `StatusException`.
 */
public suspend fun KeyBackup.giveUpVersion(version: String): Boolean = download.giveUpVersion(version)
