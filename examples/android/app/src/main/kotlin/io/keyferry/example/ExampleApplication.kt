package io.keyferry.example

import android.app.Application
import io.keyferry.*

/** Opens the key backup for whoever needs it first: a screen, or a worker in a process without any. */
class ExampleApplication : Application(), KeyBackupProvider {
    override suspend fun openKeyBackup(userId: String): KeyBackup? =
        Session.load(this, userId)?.let { session ->
            KeyBackup.open(this, session.account) { session.accessToken }
        }
}
