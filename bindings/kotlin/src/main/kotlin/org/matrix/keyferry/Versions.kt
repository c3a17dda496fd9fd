package org.matrix.keyferry

/**
 * Fetches the backup version with this number for as long as the server has it, whichever version is current. Use it
 * for a number that the app knows from its own crypto store. Requests a wake-up. Does nothing for a text that cannot
 * be a version (empty, `.`, `..`, or over 128 characters).
 *
 * @throws org.matrix.keyferry.ffi.StatusException if the vault cannot be written
 */
public suspend fun KeyBackup.includeVersion(version: String) {
    download.includeVersion(version)
}

/**
 * Accepts that the server does not return all the keys that it counts in a version. If at most [most] are missing,
 * the outcome of a run is `Completed` and says how many are.
 *
 * @param publicKey the public key of the version, from `VersionStatus`: version numbers can repeat
 * @param most how many keys may be missing; 0 withdraws the acceptance
 * @return `false` if the vault knows no such version with that public key
 * @throws org.matrix.keyferry.ffi.StatusException if the vault cannot be written
 */
public suspend fun KeyBackup.acceptShortfall(version: String, publicKey: String, most: ULong): Boolean =
    download.acceptShortfall(version, publicKey, most)

/**
 * Gives up a version that the user cannot unlock: outcomes no longer name it. Its fetched entries stay in the vault,
 * still encrypted, and a later unlock takes it up again.
 *
 * @return `false` if the vault knows no version of that number
 * @throws org.matrix.keyferry.ffi.StatusException if the vault cannot be written
 */
public suspend fun KeyBackup.giveUpVersion(version: String): Boolean = download.giveUpVersion(version)
