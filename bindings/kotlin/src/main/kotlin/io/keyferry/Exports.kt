package io.keyferry

import java.io.File
import java.io.IOException
import java.io.OutputStream
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withContext

/**
 * Writes every key of the vault to a stream, as an encrypted key export file: see [KeyBackupApi.exportRoomKeys]. The
 * stream stays open. It gets nothing unless the whole file could be made, which takes space for it in the directory of
 * temporary files.
 *
 * @throws ExportException if the passphrase is empty, the stream cannot be written, or the vault cannot be read
 */
public suspend fun KeyBackupApi.exportRoomKeys(passphrase: String, output: OutputStream): ExportSummary =
    exportRoomKeysTo(passphrase) { file -> copy(file, output) }

/**
 * Writes every key of the vault to a stream, as the other overload does, that is only opened once the whole file could
 * be made. Closes the stream.
 *
 * @throws ExportException if the passphrase is empty, the stream cannot be opened or written, or the vault cannot be read
 */
public suspend fun KeyBackupApi.exportRoomKeys(passphrase: String, open: () -> OutputStream): ExportSummary =
    exportRoomKeysTo(passphrase) { file -> open().use { copy(file, it) } }

private suspend fun KeyBackupApi.exportRoomKeysTo(passphrase: String, copy: (File) -> Unit): ExportSummary =
    withContext(Dispatchers.IO) {
        val file = orUnwritable { File.createTempFile("keys", ".txt") }
        try {
            val summary = exportRoomKeys(passphrase, file)
            runInterruptible { orUnwritable { copy(file) } }
            summary
        } finally {
            file.delete()
        }
    }

private fun copy(file: File, output: OutputStream) {
    file.inputStream().use { it.copyTo(output) }
    output.flush()
}

private fun <T> orUnwritable(work: () -> T): T = try {
    work()
} catch (_: IOException) {
    throw ExportException.UnwritableFile()
} catch (_: SecurityException) {
    throw ExportException.UnwritableFile()
}
