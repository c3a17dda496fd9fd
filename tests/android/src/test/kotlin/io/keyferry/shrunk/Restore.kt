package io.keyferry.shrunk

import io.keyferry.Account
import io.keyferry.ClientOptions
import io.keyferry.KeyBackup
import io.keyferry.SinkAnswer
import io.keyferry.UnlockSecret
import io.keyferry.VaultProtection
import io.keyferry.roomKeySink
import java.io.File
import kotlinx.coroutines.runBlocking

/** A program that R8 shrinks: restores a backup into a sink, and prints how many keys came. */
fun main(arguments: Array<String>): Unit = runBlocking {
    val (url, userId, deviceId, token, recoveryKey) = arguments
    val directory = File(arguments[5])
    var delivered = 0
    val sink = roomKeySink { keys ->
        delivered += keys.size
        keys.map { SinkAnswer.Imported }
    }
    val options = ClientOptions(Account(url, userId, deviceId), directory.path, VaultProtection.NoProtection)
    KeyBackup.open(options, accessToken = { token }, sink = sink).use { backup ->
        val wrong = runCatching { backup.unlock(UnlockSecret.RecoveryKey("wrong")) }.exceptionOrNull()
        println("a wrong key: ${wrong?.message}")
        backup.unlock(UnlockSecret.RecoveryKey(recoveryKey))
        val report = backup.run()
        println("restored $delivered of ${report.summary.total}, every key is here: ${report.everyKeyIsHere}")
    }
}
