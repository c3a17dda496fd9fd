package io.keyferry

/**
 * Runs a callback of the app, and turns an `Error` that it throws (`TODO()`, a failed `assert`, no memory left) into
 * a declared exception. The generated code passes only exceptions on to Rust: after an `Error`, Rust would wait
 * forever.
 */
internal inline fun <T> answered(failure: (detail: String) -> Exception, callback: () -> T): T = try {
    callback()
} catch (error: Error) {
    throw failure(error.toString())
}
