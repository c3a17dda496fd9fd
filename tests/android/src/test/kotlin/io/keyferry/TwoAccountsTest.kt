package io.keyferry

import androidx.work.WorkInfo
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
internal class TwoAccountsTest {
    @Test
    fun `two accounts have vaults, keys and workers of their own`() = test {
        Homeserver("--keys", "300", "--rooms", "3").use { first ->
            Homeserver("--keys", "200", "--rooms", "2", "--user", "bob", "--seed", "2").use { second ->
                val backups = listOf(first, second).map { homeserver ->
                    KeyBackup.open(context, homeserver.signedIn) { homeserver.accessToken }
                        .also { it.unlock(homeserver.recoveryKey) }
                }
                assertEquals(backups, listOf(first, second).map { context.keyBackup(it.userId) })
                assertThrows("one in a process", IllegalStateException::class.java) {
                    runBlocking { KeyBackup.open(context, first.signedIn) { "" } }
                }
                connect()
                for ((backup, keys) in backups.zip(listOf(300uL, 200uL))) {
                    eventually("all $keys keys are here") { backup.status().summary.opened == keys }
                }
                for (homeserver in listOf(first, second)) {
                    eventually("its work is done") { work(homeserver.userId).all { it.state == WorkInfo.State.SUCCEEDED } }
                    assertTrue(keyBackupDirectory(context, homeserver.userId).resolve("keyferry.sqlite3").exists())
                }
                assertEquals(2, FakeKeystore.keys.size)

                KeyBackup.forget(context, first.userId)
                assertEquals(200uL, backups[1].status().summary.opened)
            }
        }
    }
}
