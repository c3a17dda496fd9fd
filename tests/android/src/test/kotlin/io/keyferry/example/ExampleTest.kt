package io.keyferry.example

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import io.keyferry.*
import java.io.ByteArrayOutputStream
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf

/** Uses the example app as a person does: through its screen. */
@RunWith(RobolectricTestRunner::class)
internal class ExampleTest {
    private lateinit var screen: MainActivity

    @Test
    fun `a person signs in, unlocks, downloads, pauses, goes on, exports and signs out`() = test {
        connect()
        slowHomeserver().use { homeserver ->
            screen = Robolectric.buildActivity(MainActivity::class.java).setup().get()
            fillInTheForm(homeserver)
            unlock(homeserver)
            download(homeserver)
            export()
            press(R.id.sign_out)
            eventually("the form is back") { isShown(R.id.account_form) }
        }
    }

    private suspend fun fillInTheForm(homeserver: Homeserver) {
        eventually("the form is shown") { isShown(R.id.account_form) && !isShown(R.id.backup) }
        press(R.id.sign_in)
        says("Fill in all fields")
        type(R.id.homeserver, "no address")
        type(R.id.user_id, homeserver.userId)
        type(R.id.device_id, homeserver.signedIn.deviceId)
        type(R.id.access_token, homeserver.accessToken)
        press(R.id.sign_in)
        says("The app is not set up correctly. Report this to its developers.")
        type(R.id.homeserver, homeserver.signedIn.homeserverUrl)
        press(R.id.sign_in)
        eventually("the account is shown") { !isShown(R.id.account_form) && isShown(R.id.backup) }
    }

    private suspend fun unlock(homeserver: Homeserver) {
        type(R.id.recovery_key, "not a key")
        press(R.id.unlock)
        says("This is not a recovery key.")
        type(R.id.recovery_key, homeserver.text("recovery_key"))
        press(R.id.unlock)
        says("Unlocked")
    }

    private suspend fun Phone.download(homeserver: Homeserver) {
        val backup = checkNotNull(context.keyBackup(homeserver.userId))
        press(R.id.download)
        eventually("a job is scheduled") { jobs.isNotEmpty() }
        RunningJob(jobs.single(), network)
        eventually("keys arrive") { backup.progress.value.fetched > 500uL }
        eventually("the screen offers a pause") { texts().any { it == "Pause" } }
        pressText("Pause")
        eventually("the screen says so") { texts().containsAll(listOf("Download paused", "You have paused it.")) }
        assertTrue(backup.progress.value.fetched < backup.progress.value.total)

        pressText("Continue")
        eventually("the job is scheduled again") { backup.status().causes.isEmpty() && jobs.isNotEmpty() }
        RunningJob(jobs.single(), network)
        eventually("every key is here") { backup.state.value is KeyBackupState.Done }
        eventually("the screen says so") { texts().containsAll(listOf("All message keys are here", "5,000 keys")) }
    }

    private suspend fun Phone.export() {
        val file = Uri.parse("content://documents/keys")
        val written = ByteArrayOutputStream()
        shadowOf(context.contentResolver).registerOutputStream(file, written)
        exportTo(file)
        says("Enter a passphrase.")

        type(R.id.passphrase, "correct horse")
        exportTo(file)
        says("5000 keys exported")
        assertTrue(written.toString().startsWith("-----BEGIN MEGOLM SESSION DATA-----"))
    }

    /** Presses the button, and chooses this file where the system asks for one. */
    private suspend fun exportTo(file: Uri) {
        press(R.id.export)
        eventually("the system asks for a file") {
            val request = shadowOf(screen).nextStartedActivityForResult
            val asks = request?.intent?.action == Intent.ACTION_CREATE_DOCUMENT
            if (asks) shadowOf(screen).receiveResult(request.intent, Activity.RESULT_OK, Intent().setData(file))
            asks
        }
    }

    private fun isShown(id: Int): Boolean = screen.findViewById<View>(id).visibility == View.VISIBLE

    private fun type(id: Int, text: String) = screen.findViewById<EditText>(id).setText(text)

    private fun press(id: Int) {
        screen.findViewById<Button>(id).performClick()
    }

    private fun pressText(text: String) {
        progressTexts().first { it.text.toString() == text }.performClick()
    }

    private fun texts(): List<String> = progressTexts().filter { it.visibility == View.VISIBLE }.map { it.text.toString() }

    private fun progressTexts(): List<TextView> {
        val view = screen.findViewById<ViewGroup>(R.id.progress)
        return (0 until view.childCount).map(view::getChildAt).filterIsInstance<TextView>()
    }

    private suspend fun says(text: String) {
        eventually("\"$text\" is shown") { screen.findViewById<TextView>(R.id.message).text.toString() == text }
    }
}
