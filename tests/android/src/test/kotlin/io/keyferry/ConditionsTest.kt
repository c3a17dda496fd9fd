package io.keyferry

import android.app.Activity
import android.content.Intent
import android.os.Looper
import android.os.PowerManager
import android.os.UserManager
import io.keyferry.testing.FakeKeyBackup
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf

@RunWith(RobolectricTestRunner::class)
internal class ConditionsTest {
    private val backup = FakeKeyBackup()

    @Test
    fun `every condition of the phone is reported when it comes and when it goes`() = test {
        connect()
        PhoneConditions(context, backup).use {
            network()
            powerSaving()
            charger()
            heat()
            lockedStorage()
            screen()
        }
        disconnect()
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals("nothing is reported after the end", emptySet<PauseCause>(), backup.causes.value - AT_FIRST)
    }

    private suspend fun Phone.network() {
        holds(false, PauseCause.OFFLINE)
        disconnect()
        holds(true, PauseCause.OFFLINE)
        connect(isMetered = true)
        holds(false, PauseCause.OFFLINE)
        holds(true, PauseCause.METERED_NETWORK)
        connect()
        holds(false, PauseCause.METERED_NETWORK)
    }

    private suspend fun Phone.powerSaving() {
        val power = shadowOf(context.getSystemService(PowerManager::class.java))
        for (saves in listOf(true, false)) {
            power.setIsPowerSaveMode(saves)
            context.sendBroadcast(Intent(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED))
            holds(saves, PauseCause.LOW_POWER)
        }
    }

    private suspend fun Phone.charger() {
        for (charges in listOf(true, false)) {
            context.sendBroadcast(
                Intent(if (charges) Intent.ACTION_POWER_CONNECTED else Intent.ACTION_POWER_DISCONNECTED),
            )
            holds(!charges, PauseCause.NOT_CHARGING)
        }
    }

    private suspend fun Phone.heat() {
        val power = shadowOf(context.getSystemService(PowerManager::class.java))
        power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_SEVERE)
        holds(true, PauseCause.THERMAL)
        power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_LIGHT)
        holds(false, PauseCause.THERMAL)
    }

    private suspend fun Phone.lockedStorage() {
        val users = shadowOf(context.getSystemService(UserManager::class.java))
        for (isUnlocked in listOf(false, true)) {
            users.setUserUnlocked(isUnlocked)
            context.sendBroadcast(Intent(Intent.ACTION_USER_UNLOCKED))
            holds(!isUnlocked, PauseCause.STORAGE_LOCKED)
        }
    }

    private suspend fun screen() {
        holds(true, PauseCause.IN_BACKGROUND)
        val activity = Robolectric.buildActivity(Activity::class.java).setup()
        holds(false, PauseCause.IN_BACKGROUND)
        activity.pause().stop()
        // A screen that is only turned is gone for a moment: the app counts as left after 700 ms.
        shadowOf(Looper.getMainLooper()).idleFor(1, TimeUnit.SECONDS)
        holds(true, PauseCause.IN_BACKGROUND)
    }

    private suspend fun holds(expected: Boolean, cause: PauseCause) {
        eventually("$cause: $expected") { (cause in backup.causes.value) == expected }
    }

    private companion object {
        /** What holds at the end of the test anyway. */
        val AT_FIRST = setOf(PauseCause.IN_BACKGROUND, PauseCause.NOT_CHARGING)
    }
}
