package io.keyferry.example

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import io.keyferry.*
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

private const val EXPORT_REQUEST = 1

/** One screen: an account from a form, then the download of its keys. */
class MainActivity : Activity() {
    private val scope: CoroutineScope = MainScope()

    /** Draws the state of the account that is signed in. */
    private var display: Job? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        onClick(R.id.sign_in) { signIn() }
        onClick(R.id.download) { download() }
        onClick(R.id.unlock) { unlock() }
        onClick(R.id.export) { chooseExportFile() }
        onClick(R.id.sign_out) { signOut() }
        progressView().onAction = { action -> attempt { act(action) } }
        attempt { show() }
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    /** Shows the form, or the progress of the account that is signed in. */
    private suspend fun show() {
        display?.cancel()
        val session = Session.load(this)
        findViewById<View>(R.id.account_form).visibility = if (session == null) View.VISIBLE else View.GONE
        findViewById<View>(R.id.backup).visibility = if (session == null) View.GONE else View.VISIBLE
        val backup = session?.let { keyBackup(it.account.userId) } ?: return
        display = scope.launch { backup.state.collect(progressView()::show) }
    }

    private suspend fun signIn() {
        val account = Account(text(R.id.homeserver), text(R.id.user_id), text(R.id.device_id))
        val token = text(R.id.access_token)
        if (listOf(account.homeserverUrl, account.userId, account.deviceId, token).any { it.isBlank() }) {
            return say(getString(R.string.form_incomplete))
        }
        Session.save(this, Session(account, token))
        try {
            show()
        } catch (failure: Exception) {
            // Such as a bad address, which is found when the backup is opened.
            Session.delete(this)
            throw failure
        }
    }

    private suspend fun download() {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
            requestPermissions(arrayOf(Manifest.permission.POST_NOTIFICATIONS), 0)
        }
        KeyBackupWork.startNow(this, userId() ?: return)
    }

    private suspend fun unlock() {
        backup()?.unlock(UnlockSecret.RecoveryKey(text(R.id.recovery_key)))
        say(getString(R.string.unlocked))
    }

    private suspend fun act(action: KeyBackupAction) {
        when (action) {
            KeyBackupAction.PAUSE -> backup()?.pause()
            KeyBackupAction.RESUME -> {
                backup()?.start()
                download()
            }
            KeyBackupAction.RETRY -> download()
            KeyBackupAction.UNLOCK -> findViewById<View>(R.id.recovery_key).requestFocus()
        }
    }

    private fun chooseExportFile() {
        val choose = Intent(Intent.ACTION_CREATE_DOCUMENT)
            .addCategory(Intent.CATEGORY_OPENABLE)
            .setType("text/plain")
            .putExtra(Intent.EXTRA_TITLE, "element-keys.txt")
        startActivityForResult(choose, EXPORT_REQUEST)
    }

    @Deprecated("Deprecated in Java")
    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val file = data?.data
        if (requestCode == EXPORT_REQUEST && resultCode == RESULT_OK && file != null) attempt { export(file) }
    }

    private suspend fun export(target: Uri) {
        val summary = backup()?.exportRoomKeys(this, text(R.id.passphrase), target) ?: return
        say(getString(R.string.exported, summary.exported.toLong()))
    }

    private suspend fun signOut() {
        val userId = userId() ?: return
        Session.delete(this)
        KeyBackup.forget(this, userId)
        show()
    }

    private fun userId(): String? = Session.load(this)?.account?.userId

    private suspend fun backup(): KeyBackup? = userId()?.let { keyBackup(it) }

    private fun progressView(): KeyBackupProgressView = findViewById(R.id.progress)

    private fun text(id: Int): String = findViewById<EditText>(id).text.toString()

    private fun say(text: String) {
        findViewById<TextView>(R.id.message).text = text
    }

    private fun onClick(id: Int, work: suspend () -> Unit) {
        findViewById<Button>(id).setOnClickListener { attempt(work) }
    }

    /** Does what the user asked for, and says so if it fails. */
    private fun attempt(work: suspend () -> Unit) {
        scope.launch {
            try {
                say("")
                work()
            } catch (cancelled: CancellationException) {
                throw cancelled
            } catch (failure: Exception) {
                say(resources.keyBackupError(failure))
            }
        }
    }
}
