package io.keyferry

import android.content.Context
import java.io.File
import java.security.MessageDigest

private const val NAME_BYTES = 16

/**
 * Returns the directory of an account's vault. It is below `noBackupFilesDir`, because Android's backup has 25 MB for a
 * whole app, and a restored vault has lost its key.
 */
public fun keyBackupDirectory(context: Context, userId: String): File =
    File(context.noBackupFilesDir, "keyferry/vaults/${userId.fileName()}")

/** Returns a name for a file that does not depend on what characters this text has. */
internal fun String.fileName(): String {
    val hash = MessageDigest.getInstance("SHA-256").digest(toByteArray())
    return hash.take(NAME_BYTES).joinToString("") { "%02x".format(it) }
}
