package io.keyferry

import io.keyferry.Exceptions.SECRET
import kotlin.time.Duration.Companion.seconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Checks the texts that end up in an app's log. */
internal class PrintingTest {
    @Test
    fun `outcomes and reasons are printed with their names and values`() {
        val printed = mapOf(
            RunOutcome.OutOfBudget to "OutOfBudget",
            WHOLE to "Completed { proof: Whole, accepted_shortfall: 0 }",
            RunOutcome.Paused(listOf(PauseCause.IN_BACKGROUND)) to "Paused { causes: [InBackground] }",
            RunOutcome.Blocked(BlockedReason.RateLimited, 5.seconds) to
                "Blocked { reason: RateLimited, retry_after: Some(5s) }",
            RunOutcome.Failed(RunFailure.NotSignedIn(true)) to "Failed { reason: NotSignedIn { soft_logout: true } }",
            BlockedReason.Offline to "Offline",
            RunFailure.DiskFull to "DiskFull",
            WorkOutcome.Failure(RunFailure.Tls) to "Failure(reason=Tls)",
            RoomKeyLookup.NotFound to "NotFound",
            SinkAnswer.Imported to "Imported",
            ServerNews.NewKeys(7u) to "NewKeys { count: 7 }",
            PreferenceWrite.Pending(PendingReason.OutOfTime, null) to "Pending { reason: OutOfTime, retry_after: None }",
            PreferencePolicy.OptOut to "OptOut",
            ResetOutcome.Halted(ResetStop.OVERTAKEN) to "Halted { why: Overtaken }",
            UploadOutcome.Hindered(UploadHindrance.NoBackup) to "Hindered { by: NoBackup }",
        )
        for ((value, text) in printed) assertEquals(text, value.toString())
        val running = RunOutcome.AlreadyRunning(RunHolder("app", 1u, true, 0u)).toString()
        assertTrue("app" in running && "@" !in running, running)
        val summary = DownloadSummary()
        val report = RunReport(RunOutcome.Blocked(BlockedReason.WaitsForFile, null), summary, 0u, 0u, false, null).toString()
        assertTrue("WaitsForFile" in report && "@" !in report, report)
    }

    @Test
    fun `every exception is printed as its class name and a sentence, without its contents`() {
        val exceptions = Exceptions.all
        assertTrue(exceptions.size > 50, "${exceptions.size} exceptions")
        for (exception in exceptions) {
            val message = exception.message.orEmpty()
            assertTrue(message.length > 8 && ' ' in message, "$exception")
            assertEquals("${exception.javaClass.name}: $message", exception.toString())
            if (exception.saysWhyTheCryptoRefuses) continue
            assertFalse(SECRET in message, message)
            assertFalse(SECRET in exception.stackTraceToString())
        }
    }

    @Test
    fun `the message of an exception is the sentence of the library`() {
        val sentences = mapOf(
            UnlockException.WrongKey() to "the key does not fit the backup",
            UnlockException.Access(AccessException.NotSignedIn(true)) to "the account is not signed in",
            OpenException.KeyringUnavailable(false) to "the keyring gave no key",
            ExportException.EmptyPassphrase() to "the passphrase is empty",
            AccessException.Unreachable(5.seconds) to "the homeserver cannot be reached",
            HostException.Failed(SECRET) to "the app could not answer",
            TransportException.Failed(SECRET) to "the transport failed",
            ResetException.LosesKeys(emptyList()) to "keys would be lost",
            ResetException.Access(AccessException.CryptoRefuses("no key")) to "the app's crypto refuses: no key",
            CryptoException.Unavailable(SECRET) to "the app's crypto is not available now",
        )
        for ((exception, sentence) in sentences) assertEquals(sentence, exception.message)
    }

    /** Whether the sentence ends with what the app's crypto has given as its reason, which is for others to read. */
    private val Throwable.saysWhyTheCryptoRefuses: Boolean
        get() = this is CryptoException.Refused || this is AccessException.CryptoRefuses
}
