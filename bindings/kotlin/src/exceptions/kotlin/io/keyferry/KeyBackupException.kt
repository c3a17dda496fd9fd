package io.keyferry

/**
 * An error of this library. There is a type for each concern; [remedy] says for all of them what the app can do.
 *
 * ```
 * try {
 *     backup.unlock(UnlockSecret.RecoveryKey(typed))
 * } catch (error: KeyBackupException) {
 *     if (error.remedy == Remedy.SIGN_IN) signInAgain() else show(resources.keyBackupError(error))
 * }
 * ```
 *
 * [message] is a sentence for logs, in English and without secrets. What a user should read is
 * `Resources.keyBackupError` of the package `keyferry-android`.
 */
public sealed class KeyBackupException : Exception() {
    /** What the app can do about it. */
    public val remedy: Remedy
        get() = when (this) {
            is AccessException -> remedyOf(this)
            is OpenException -> remedyOf(this)
            is UnlockException -> remedyOf(this)
            is ExportException -> remedyOf(this)
            is ResetException -> remedyOf(this)
        }
}

/** Returns the sentence of the library for an error. Without the library, in an app's unit test, it is the name. */
internal inline fun Exception.sentenceOf(sentence: () -> String): String = try {
    sentence()
} catch (_: LinkageError) {
    javaClass.name
}
