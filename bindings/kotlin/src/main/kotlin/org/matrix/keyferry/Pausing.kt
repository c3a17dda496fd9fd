package org.matrix.keyferry

import org.matrix.keyferry.ffi.DownloadPolicy
import org.matrix.keyferry.ffi.PauseCause

/**
 * Holds the download for [cause] until [resume] is called with it. Several causes can hold at once;
 * `docs/background-execution.md` has a table of the work that each one stops. Returns when that work has stopped, in
 * a fraction of a second. Only the user's pause is kept over restarts.
 *
 * @throws org.matrix.keyferry.ffi.StatusException if the user's pause cannot be kept over a restart; it holds until
 *   then nevertheless
 */
public suspend fun KeyBackup.pause(cause: PauseCause = PauseCause.USER) {
    download.pause(cause)
}

/**
 * Ends a [pause] for [cause]. If no other cause holds the download, a run under way continues, or a wake-up is
 * requested.
 *
 * @throws org.matrix.keyferry.ffi.StatusException if the end of the user's pause cannot be written to the vault
 */
public suspend fun KeyBackup.resume(cause: PauseCause = PauseCause.USER) {
    download.resume(cause)
}

/**
 * Gives the download up until [start], also over restarts: a run under way ends, the vault keeps what it has, and no
 * wake-up is requested. Returns when the run has ended.
 *
 * @throws org.matrix.keyferry.ffi.StatusException if the stop cannot be kept over a restart; it holds until then
 *   nevertheless
 */
public suspend fun KeyBackup.stop() {
    download.stop()
}

/**
 * Ends a [stop], or a pause by the user, and requests a wake-up.
 *
 * @throws org.matrix.keyferry.ffi.StatusException if the vault cannot be written
 */
public suspend fun KeyBackup.start() {
    download.start()
}

/**
 * Waits until no run and no request of the download is at work and none of them holds a database, lock, connection or
 * thread. Ends nothing itself.
 */
public suspend fun KeyBackup.awaitQuiescent() {
    download.awaitQuiescent()
}

/**
 * Changes what the download may use. A run under way follows at once. Values out of bounds are brought within them.
 *
 * `meteredBytes` holds no run before the app reports [PauseCause.METERED_NETWORK] by [pause] and [resume], because
 * nothing here watches the network. Until then it only makes wake-ups ask for an unmetered network. `WORKMANAGER.md`
 * has code that reports it.
 */
public fun KeyBackup.setPolicy(policy: DownloadPolicy) {
    download.setPolicy(policy)
}
