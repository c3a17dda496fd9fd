import io.keyferry.*
import java.io.File
import kotlin.system.exitProcess
import kotlinx.coroutines.runBlocking

/** Restores the backup of an account, as a new program on the packages does: `ACCOUNT.json DATA_DIR`. */
fun main(arguments: Array<String>) = runBlocking<Unit> {
    val (accountFile, directory) = arguments
    val details = File(accountFile).readText()
    fun text(name: String) = Regex("\"$name\":\"([^\"]*)\"").find(details)!!.groupValues[1]

    val backup = KeyBackup.open(
        ClientOptions(
            Account(text("homeserver_url"), text("user_id"), text("device_id")),
            File(directory),
            VaultProtection.Key(ByteArray(32) { 7 }),
        ),
        accessToken = { text("access_token") },
        sink = roomKeySink { keys -> keys.map { SinkAnswer.Imported } },
    )
    backup.unlock(UnlockSecret.RecoveryKey(text("recovery_key")))
    val report = backup.run()
    println("Kotlin: ${report.summary.delivered} keys, ${report.outcome}")
    backup.close()
    if (!report.everyKeyIsHere) exitProcess(1)
}
