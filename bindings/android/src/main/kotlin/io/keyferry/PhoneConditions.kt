package io.keyferry

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.net.ConnectivityManager
import android.net.Network
import android.net.NetworkCapabilities
import android.os.BatteryManager
import android.os.Build
import android.os.Handler
import android.os.Looper
import android.os.PowerManager
import android.os.UserManager
import android.util.Log
import androidx.annotation.RequiresApi
import androidx.core.content.ContextCompat
import androidx.lifecycle.DefaultLifecycleObserver
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.ProcessLifecycleOwner
import java.io.Closeable
import java.util.concurrent.CopyOnWriteArrayList

/**
 * Reports the conditions of the phone to a download until it is closed: no network, a metered one, power saving, heat,
 * no charger, storage that is locked since the start of the phone, and the app in the background.
 * `docs/background-execution.md` has a table of the work that each one stops.
 *
 * `KeyBackup.open(context, account)` makes one; `work`, and so [KeyBackupWorker], works in the background, and a
 * plain `run` does not.
 */
public class PhoneConditions(context: Context, backup: KeyBackupApi) : Closeable {
    private val context: Context = context.applicationContext
    private val reporter = ConditionReporter(backup)
    private val main = Handler(Looper.getMainLooper())
    private val endings = CopyOnWriteArrayList<() -> Unit>()

    init {
        watchNetwork()
        watchPower()
        watchHeat()
        watchStorage()
        watchScreen()
    }

    override fun close() {
        for (end in endings) {
            try {
                end()
            } catch (failure: RuntimeException) {
                Log.w(LOG_TAG, "a condition is still watched: ${failure.message}")
            }
        }
        endings.clear()
        reporter.close()
    }

    private fun watchNetwork() {
        val networks = context.getSystemService(ConnectivityManager::class.java)
        // No callback comes if there is no network at first.
        reporter.report(PauseCause.OFFLINE, networks.activeNetwork == null)
        val callback = NetworkReports(reporter)
        try {
            networks.registerDefaultNetworkCallback(callback)
        } catch (_: RuntimeException) {
            // Android 11 throws a SecurityException now and then. Without reports the network counts as there.
            reporter.report(PauseCause.OFFLINE, false)
            return
        }
        endings += { networks.unregisterNetworkCallback(callback) }
    }

    private fun watchPower() {
        val power = context.getSystemService(PowerManager::class.java)
        watch(PowerManager.ACTION_POWER_SAVE_MODE_CHANGED) {
            reporter.report(PauseCause.LOW_POWER, power.isPowerSaveMode)
        }
        watch(Intent.ACTION_POWER_CONNECTED, Intent.ACTION_POWER_DISCONNECTED) { action ->
            val isPlugged = when (action) {
                Intent.ACTION_POWER_CONNECTED -> true
                Intent.ACTION_POWER_DISCONNECTED -> false
                else -> isPlugged()
            }
            reporter.report(PauseCause.NOT_CHARGING, !isPlugged)
        }
    }

    /** Whether a charger is plugged in. The level of the battery may take minutes to rise after that. */
    private fun isPlugged(): Boolean {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        return (battery?.getIntExtra(BatteryManager.EXTRA_PLUGGED, 0) ?: 0) != 0
    }

    private fun watchHeat() {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) return
        val power = context.getSystemService(PowerManager::class.java)
        val listener = heatReports(reporter)
        try {
            power.addThermalStatusListener(listener)
        } catch (_: RuntimeException) {
            // A device without a thermal service: it reports no heat.
            return
        }
        listener.onThermalStatusChanged(power.currentThermalStatus)
        endings += { power.removeThermalStatusListener(listener) }
    }

    private fun watchStorage() {
        val users = context.getSystemService(UserManager::class.java)
        watch(Intent.ACTION_USER_UNLOCKED) { reporter.report(PauseCause.STORAGE_LOCKED, !users.isUserUnlocked) }
    }

    private fun watchScreen() {
        val observer = object : DefaultLifecycleObserver {
            override fun onStart(owner: LifecycleOwner) = reporter.report(PauseCause.IN_BACKGROUND, false)
            override fun onStop(owner: LifecycleOwner) = reporter.report(PauseCause.IN_BACKGROUND, true)
        }
        main.post {
            val app = ProcessLifecycleOwner.get().lifecycle
            // The observer hears of a start that has been, but not that there has been none.
            reporter.report(PauseCause.IN_BACKGROUND, !app.currentState.isAtLeast(Lifecycle.State.STARTED))
            app.addObserver(observer)
        }
        endings += { main.post { ProcessLifecycleOwner.get().lifecycle.removeObserver(observer) } }
    }

    /** Calls [tell] now, with `null`, and at each of these broadcasts, with its action. */
    private fun watch(vararg actions: String, tell: (action: String?) -> Unit) {
        val receiver = object : BroadcastReceiver() {
            override fun onReceive(context: Context, intent: Intent) = tell(intent.action)
        }
        val filter = IntentFilter().apply { actions.forEach(::addAction) }
        ContextCompat.registerReceiver(context, receiver, filter, ContextCompat.RECEIVER_NOT_EXPORTED)
        endings += { context.unregisterReceiver(receiver) }
        tell(null)
    }
}

/** Reports the default network: whether there is one, whether this app may use it, and whether it is metered. */
private class NetworkReports(private val reporter: ConditionReporter) : ConnectivityManager.NetworkCallback() {
    override fun onAvailable(network: Network) {
        reporter.report(PauseCause.OFFLINE, false)
    }

    override fun onLost(network: Network) {
        reporter.report(PauseCause.OFFLINE, true)
    }

    override fun onBlockedStatusChanged(network: Network, blocked: Boolean) {
        reporter.report(PauseCause.OFFLINE, blocked)
    }

    override fun onCapabilitiesChanged(network: Network, capabilities: NetworkCapabilities) {
        val isFree = capabilities.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)
        reporter.report(PauseCause.METERED_NETWORK, !isFree)
    }
}

/** Returns a listener apart, because a phone before Android 10 has no class for it. */
@RequiresApi(Build.VERSION_CODES.Q)
private fun heatReports(reporter: ConditionReporter) = PowerManager.OnThermalStatusChangedListener { status ->
    reporter.report(PauseCause.THERMAL, status >= PowerManager.THERMAL_STATUS_SEVERE)
}
