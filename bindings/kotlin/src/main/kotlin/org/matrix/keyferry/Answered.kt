package org.matrix.keyferry

/**
 * Runs a callback of the app, and turns an `Error` that leaves it (`TODO()`, a failed `assert`, no memory) into a declared
 * exception. The generated code answers exceptions only: after an `Error` the other side would wait for ever.
 */
internal inline fun <T> answered(failure: (detail: String) -> Exception, callback: () -> T): T = try {
    callback()
} catch (error: Error) {
    throw failure(error.toString())
}
