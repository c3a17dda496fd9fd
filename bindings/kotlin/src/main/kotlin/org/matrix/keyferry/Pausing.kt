package org.matrix.keyferry

import org.matrix.keyferry.ffi.DownloadPolicy
import org.matrix.keyferry.ffi.PauseCause

/**
 * Holds the download for [cause], until [resume] with it; several causes can hold at once. Returns when what the cause stops
 * is at rest, in a fraction of a second. The user's pause stays over restarts.
 *
 * Throws `StatusException` if it cannot be kept over a restart; until then it holds nevertheless.
 */
public suspend fun KeyBackup.pause(cause: PauseCause = PauseCause.USER) {
    download.pause(cause)
}

/**
 * The cause is gone. If it was the last one, a run under way goes on, or a wake-up is asked for. Throws `StatusException` if
 * that cannot be kept.
 */
public suspend fun KeyBackup.resume(cause: PauseCause = PauseCause.USER) {
    download.resume(cause)
}

/**
 * Gives the download up until [start], also over restarts: a run under way ends, what is in the vault stays, and no wake-up
 * is asked for. Returns when all is at rest. Throws `StatusException` if it cannot be kept over a restart; until then it
 * holds nevertheless.
 */
public suspend fun KeyBackup.stop() {
    download.stop()
}

/**
 * Takes up what was stopped, or paused by the user, and asks for a wake-up. Throws `StatusException` if that cannot be kept.
 */
public suspend fun KeyBackup.start() {
    download.start()
}

/**
 * Waits until no run and no request of the download is at work: no database, lock, connection or busy thread. It does not
 * end anything.
 */
public suspend fun KeyBackup.awaitQuiescent() {
    download.awaitQuiescent()
}

/**
 * Changes what the download may use; a run under way follows at once.
 *
 * `meteredBytes` holds no run before the app reports [PauseCause.METERED_NETWORK], by [pause] and [resume]: nothing here looks
 * at the network. Until then it only makes wake-ups ask for an unmetered one. `WORKMANAGER.md` has the lines that report.
 */
public fun KeyBackup.setPolicy(policy: DownloadPolicy) {
    download.setPolicy(policy)
}
