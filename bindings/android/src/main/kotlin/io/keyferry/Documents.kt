package io.keyferry

import android.content.Context
import android.net.Uri

/**
 * Writes every key of the vault to the document that the user has chosen (`ACTION_CREATE_DOCUMENT`), as an encrypted key
 * export file: see [KeyBackupApi.exportRoomKeys].
 *
 * @throws ExportException if the passphrase is empty, the document cannot be written, or the vault cannot be read
 */
public suspend fun KeyBackupApi.exportRoomKeys(context: Context, passphrase: String, document: Uri): ExportSummary =
    exportRoomKeys(passphrase) {
        context.contentResolver.openOutputStream(document, "wt") ?: throw ExportException.UnwritableFile()
    }
