package io.keyferry

import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

/**
 * Reports pause causes to the download. [PauseCause.IN_BACKGROUND] holds while the app is in the background, except in
 * time that the OS grants.
 */
internal class Causes(private val download: KeyDownload) {
    /** Keeps reports of the background in order, so that the last one is the true one. */
    private val turns = Mutex()
    private val grants = AtomicInteger()

    @Volatile
    private var appIsInBackground = false

    /** Whether the download was told that the background holds. Belongs to [turns]. */
    private var isHeld = false

    suspend fun pause(cause: PauseCause) {
        if (cause != PauseCause.IN_BACKGROUND) return download.pause(cause)
        appIsInBackground = true
        tellOfBackground()
    }

    suspend fun resume(cause: PauseCause) {
        if (cause != PauseCause.IN_BACKGROUND) return download.resume(cause)
        appIsInBackground = false
        tellOfBackground()
    }

    /** Does [work] in time that the OS grants. Afterwards the background holds if the app is in it. */
    suspend fun <T> inGrantedTime(work: suspend () -> T): T {
        grants.incrementAndGet()
        try {
            tellOfBackground()
            return work()
        } finally {
            grants.decrementAndGet()
            // Also after the worker was stopped.
            withContext(NonCancellable) { tellOfBackground() }
        }
    }

    private suspend fun tellOfBackground(): Unit = turns.withLock {
        val holds = appIsInBackground && grants.get() == 0
        if (holds == isHeld) return
        isHeld = holds
        // Only a change: `resume` requests a wake-up.
        if (holds) download.pause(PauseCause.IN_BACKGROUND) else download.resume(PauseCause.IN_BACKGROUND)
    }
}
