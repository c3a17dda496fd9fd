package io.keyferry

import java.io.File
import java.lang.reflect.Constructor
import java.lang.reflect.Modifier
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import io.keyferry.ffi.BlockedReason
import io.keyferry.ffi.CryptoException
import io.keyferry.ffi.DownloadSummary
import io.keyferry.ffi.ExportException
import io.keyferry.ffi.HostException
import io.keyferry.ffi.OpenException
import io.keyferry.ffi.PauseCause
import io.keyferry.ffi.PendingReason
import io.keyferry.ffi.PreferenceException
import io.keyferry.ffi.PreferencePolicy
import io.keyferry.ffi.PreferenceWrite
import io.keyferry.ffi.ResetException
import io.keyferry.ffi.ResetOutcome
import io.keyferry.ffi.ResetStop
import io.keyferry.ffi.RoomKeyLookup
import io.keyferry.ffi.RunFailure
import io.keyferry.ffi.RunHolder
import io.keyferry.ffi.RunOutcome
import io.keyferry.ffi.RunReport
import io.keyferry.ffi.ServerNews
import io.keyferry.ffi.SinkAnswer
import io.keyferry.ffi.TransportException
import io.keyferry.ffi.UnlockException
import io.keyferry.ffi.UploadException
import io.keyferry.ffi.UploadHindrance
import io.keyferry.ffi.UploadOutcome

private const val SECRET = "EsTc"

/** Checks the texts that end up in an app's log. */
internal class PrintingTest {
    @Test
    fun `outcomes and reasons are printed with their names and values`() {
        val printed = mapOf(
            RunOutcome.OutOfBudget to "OutOfBudget",
            WHOLE to "Completed { proof: Whole, accepted_shortfall: 0 }",
            RunOutcome.Paused(listOf(PauseCause.IN_BACKGROUND)) to "Paused { causes: [InBackground] }",
            RunOutcome.Blocked(BlockedReason.RateLimited, 5_000u) to
                "Blocked { reason: RateLimited, retry_after_ms: Some(5000) }",
            RunOutcome.Failed(RunFailure.NotSignedIn(true)) to "Failed { reason: NotSignedIn { soft_logout: true } }",
            BlockedReason.Offline to "Offline",
            RunFailure.DiskFull to "DiskFull",
            WorkOutcome.Failure(RunFailure.Tls) to "Failure(reason=Tls)",
            RoomKeyLookup.NotFound to "NotFound",
            SinkAnswer.Imported to "Imported",
            ServerNews.NewKeys(7u) to "NewKeys { count: 7 }",
            PreferenceWrite.Pending(PendingReason.OutOfTime, null) to "Pending { reason: OutOfTime, retry_after_ms: None }",
            PreferencePolicy.OptOut to "OptOut",
            ResetOutcome.Halted(ResetStop.OVERTAKEN) to "Halted { why: Overtaken }",
            UploadOutcome.Hindered(UploadHindrance.NoBackup) to "Hindered { by: NoBackup }",
        )
        for ((value, text) in printed) assertEquals(text, value.toString())
        val running = RunOutcome.AlreadyRunning(RunHolder("app", 1u, true, 0u)).toString()
        assertTrue("app" in running && "@" !in running, running)
        val summary = DownloadSummary(null, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, emptyList(), 0u, 0u)
        val report = RunReport(RunOutcome.Blocked(BlockedReason.WaitsForFile, null), summary, 0u, 0u, false, null).toString()
        assertTrue("WaitsForFile" in report && "@" !in report, report)
    }

    @Test
    fun `every exception is printed as its class name and a sentence, without its contents`() {
        val exceptions = exceptions()
        assertTrue(exceptions.size > 60, "${exceptions.size} exceptions")
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
            UnlockException.NotSignedIn(true) to "the account is not signed in",
            OpenException.KeyringUnavailable(false) to "the keyring gave no key",
            ExportException.EmptyPassphrase() to "the passphrase is empty",
            PreferenceException.Unreachable(5u) to "the homeserver cannot be reached",
            HostException.Failed(SECRET) to "the app could not answer",
            TransportException.Failed(SECRET) to "the transport failed",
            ResetException.LosesKeys(emptyList()) to "keys would be lost",
            ResetException.CryptoRefuses("no key") to "the app's crypto refuses: no key",
            CryptoException.Unavailable(SECRET) to "the app's crypto is not available now",
        )
        for ((exception, sentence) in sentences) assertEquals(sentence, exception.message)
    }

    /** Whether the sentence ends with what the app's crypto has given as its reason, which is for others to read. */
    private val Throwable.saysWhyTheCryptoRefuses: Boolean
        get() = this is CryptoException.Refused || this is ResetException.CryptoRefuses ||
            this is UploadException.CryptoRefuses

    /** Makes one of every class of exception that the library declares. Every text in them is the secret. */
    private fun exceptions(): List<Throwable> {
        val place = File(OpenException::class.java.protectionDomain.codeSource.location.toURI())
        val families = place.resolve("io/keyferry/ffi").list().orEmpty()
            .filter { it.endsWith("Exception.class") && '$' !in it }
            .map { Class.forName("io.keyferry.ffi." + it.removeSuffix(".class")) }
            .filter { Modifier.isAbstract(it.modifiers) }
        assertEquals(13, families.size, "$families")
        return families.flatMap { family ->
            family.declaredClasses.filter { family.isAssignableFrom(it) }.map { make(it.constructors.single()) }
        }
    }

    private fun make(constructor: Constructor<*>): Throwable {
        val values = constructor.parameterTypes.map { type ->
            when (type) {
                Boolean::class.javaPrimitiveType -> true
                String::class.java -> SECRET
                List::class.java -> emptyList<Any>()
                ResetStop::class.java -> ResetStop.OVERTAKEN
                else -> null
            }
        }
        return constructor.newInstance(*values.toTypedArray()) as Throwable
    }
}
