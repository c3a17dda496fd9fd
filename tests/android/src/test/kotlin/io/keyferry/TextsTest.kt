package io.keyferry

import android.content.res.Configuration
import android.content.res.Resources
import io.keyferry.testing.fakeProgress
import java.util.Locale
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

@RunWith(RobolectricTestRunner::class)
internal class TextsTest {
    private val english = resources(Locale.ENGLISH)
    private val german = resources(Locale.GERMAN)

    @Test
    fun `every state has a title and a line in both languages`() {
        for (state in States.every) {
            for (text in listOf(Resources::keyBackupTitle, Resources::keyBackupDetail)) {
                val (here, there) = text(english, state) to text(german, state)
                assertTrue("$state: $here", here.isNotBlank() || state is KeyBackupState.Working)
                if (here.isNotBlank()) assertNotEquals("$state", here, there)
                assertFalse("$state: $here", "%" in here || "%" in there)
            }
        }
    }

    @Test
    fun `every exception says what happened, in both languages`() {
        for (error in EXCEPTIONS) {
            val text = english.keyBackupError(error)
            assertTrue("$error: $text", text.endsWith("."))
            assertNotEquals(text, german.keyBackupError(error))
        }
        assertEquals("Something went wrong. Try again.", english.keyBackupError(IllegalStateException("secret")))
    }

    @Test
    fun `numbers are written as the language does, and counted`() {
        assertEquals("12,345 of 50,000 keys, about 3 minutes left", english.keyBackupDetail(States.working))
        assertEquals("12.345 von 50.000 Schlüsseln, noch etwa 3 Minuten", german.keyBackupDetail(States.working))

        fun working(total: ULong, timeLeft: Duration?) =
            KeyBackupState.Working(fakeProgress(DownloadStage.FETCHING, total, timeLeft = timeLeft))
        assertEquals("0 of 1 key, about 1 minute left", english.keyBackupDetail(working(1u, 5.seconds)))
        assertEquals("0 von 1 Schlüssel, noch etwa 1 Minute", german.keyBackupDetail(working(1u, 5.seconds)))
        assertEquals("0 of 9 keys, about 2 hours left", english.keyBackupDetail(working(9u, 7_300.seconds)))
        assertEquals("0 of 9 keys", english.keyBackupDetail(working(9u, null)))
        assertEquals("", english.keyBackupDetail(working(0u, null)))
    }

    @Test
    fun `every step of a reset has a line in both languages, and keys are counted`() {
        for (step in ResetStep.entries) {
            val progress = ResetProgress(step, sent = 12_345u, total = 50_000u)
            val (here, there) = english.keyBackupResetDetail(progress) to german.keyBackupResetDetail(progress)
            assertTrue("$step: $here", here.isNotBlank() && "%" !in here + there)
            assertNotEquals("$step", here, there)
        }
        for (why in ResetStop.entries) {
            val stopped = ResetProgress(ResetStep.CREATED, sent = 0u, total = 2_000u, stopped = why)
            val (here, there) = english.keyBackupResetDetail(stopped) to german.keyBackupResetDetail(stopped)
            assertTrue("$why: $here", "Begin again" in here)
            assertNotEquals("$why", here, there)
        }
        val sentAgain = ResetProgress(ResetStep.UPLOADING, sent = 3_000u, total = 2_000u)
        assertEquals("2,000 of 2,000 keys uploaded", english.keyBackupResetDetail(sentAgain))
        assertEquals("2.000 von 2.000 Schlüsseln hochgeladen", german.keyBackupResetDetail(sentAgain))
    }

    @Test
    fun `of several causes the one that the user can change is named`() {
        val text = english.keyBackupDetail(States.metered)
        assertEquals("It continues on a network without a data limit, such as Wi-Fi.", text)
    }

    private fun resources(locale: Locale): Resources {
        val context = RuntimeEnvironment.getApplication()
        val configuration = Configuration(context.resources.configuration).apply { setLocale(locale) }
        return context.createConfigurationContext(configuration).resources
    }

    private companion object {
        val ACCESS = listOf(
            AccessException.Locked(), AccessException.NoBackup(), AccessException.OnHold(emptyList()),
            AccessException.Unreachable(null), AccessException.ServerFault(), AccessException.NotSignedIn(true),
            AccessException.RefusedByServer(), AccessException.Tls(), AccessException.CryptoUnavailable(),
            AccessException.CryptoRefuses("secret"), AccessException.VaultInaccessible(), AccessException.DiskFull(),
            AccessException.VaultGone(), AccessException.VaultDamaged(), AccessException.ShutDown(),
            AccessException.NotConfigured(), AccessException.Internal(),
        )
        val EXCEPTIONS: List<Exception> = ACCESS + ACCESS.map { UnlockException.Access(it) } + listOf(
            UnlockException.NotAKey(), UnlockException.Mistyped(), UnlockException.WrongKey(),
            UnlockException.NoPassphrase(), UnlockException.Unsupported(),
            OpenException.InvalidHomeserverUrl(), OpenException.InvalidAccount(), OpenException.UnusableDataDir(),
            OpenException.WrongVaultKey(), OpenException.OtherProtection(), OpenException.OtherAccount(),
            OpenException.KeyringUnavailable(true), OpenException.KeyringUnavailable(false),
            OpenException.VaultTooNew(), OpenException.VaultDamaged(), OpenException.DiskFull(),
            OpenException.VaultInUse(), OpenException.Internal(),
            ExportException.EmptyPassphrase(), ExportException.UnwritableFile(), ExportException.Cancelled(),
            ExportException.Access(AccessException.DiskFull()),
            ResetException.CannotKeepSecrets(), ResetException.BackupExists(), ResetException.UnderWay(),
            ResetException.NotUnderWay(), ResetException.LosesKeys(emptyList()), ResetException.NotProved(),
            ResetException.CurrentVersion(), ResetException.PreferenceNotConfirmed(),
            ResetException.Halted(ResetStop.OVERTAKEN), ResetException.Access(AccessException.NoBackup()),
        )
    }
}
