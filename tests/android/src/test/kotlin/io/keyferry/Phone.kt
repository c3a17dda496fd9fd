package io.keyferry

import android.Manifest
import android.app.Application
import android.app.job.JobInfo
import android.app.job.JobScheduler
import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.net.NetworkCapabilities
import android.os.Looper
import androidx.startup.InitializationProvider
import androidx.work.Configuration
import androidx.work.WorkInfo
import androidx.work.WorkManager
import androidx.work.impl.WorkManagerImpl
import androidx.work.impl.background.systemjob.SystemJobScheduler
import androidx.work.impl.foreground.SystemForegroundService
import io.keyferry.example.Session
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowLog
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowNetworkCapabilities
import org.robolectric.util.ReflectionHelpers

/**
 * The phone that a test plays: its app, its network, and its WorkManager. Of that there is one in a process, and so each
 * class of tests that uses it has one test, and a process of its own.
 */
@Suppress("DEPRECATION") // `NetworkInfo`, which WorkManager reads.
internal class Phone {
    val context: Application = RuntimeEnvironment.getApplication()
    private val networks = context.getSystemService(ConnectivityManager::class.java)
    private val connected = networks.activeNetworkInfo
    private var current: NetworkCapabilities? = null
    private val told = mutableSetOf<ConnectivityManager.NetworkCallback>()
    val network: Network = checkNotNull(networks.activeNetwork ?: ShadowNetwork.newInstance(1))

    init {
        FakeKeystore.install()
        shadowOf(context).grantPermissions(Manifest.permission.POST_NOTIFICATIONS)
        if (System.getProperty("keyferry.log") == "true") ShadowLog.stream = System.out
        // As the OS does when it starts a process. Robolectric does not make the providers of a manifest.
        Robolectric.setupContentProvider(InitializationProvider::class.java)
    }

    /** The jobs that the user has started. */
    val jobs: List<JobInfo> get() = context.getSystemService(JobScheduler::class.java).allPendingJobs

    /** The jobs of WorkManager. Robolectric gives each object of a JobScheduler jobs of its own. */
    val jobsOfWorkManager: List<JobInfo>
        get() {
            val scheduler = WorkManagerImpl.getInstance(context).schedulers.first { it is SystemJobScheduler }
            return ReflectionHelpers.getField<JobScheduler>(scheduler, "mJobScheduler").allPendingJobs
        }

    /** Makes JobScheduler refuse a job of the user's, as when the app is not on screen. */
    fun refuseJob(userId: String) {
        shadowOf(context.getSystemService(JobScheduler::class.java)).failOnJob(jobId(userId))
    }

    /** Starts the service by which WorkManager shows a worker's notification. Robolectric only notes that it is wanted. */
    fun startForegroundService() {
        val intent = checkNotNull(shadowOf(context).nextStartedService)
        Robolectric.buildService(SystemForegroundService::class.java, intent).create().startCommand(0, 1)
    }

    /** Starts WorkManager as a new process does, a minute later: it waits half a minute before it tries again. */
    fun startWorkManager() {
        // Not `WorkManager.initialize`: that finds the instance of the process that has died.
        val configuration = Configuration.Builder().setClock { System.currentTimeMillis() + 60_000 }.build()
        WorkManagerImpl.setDelegate(WorkManagerImpl(context, configuration))
    }

    /**
     * Ends the process of the app as a kill does: nobody writes that a worker has ended. What goes on in this process, which
     * lives, ends in order, and then the database is put back to what it was at the kill.
     */
    suspend fun killProcess(backup: KeyBackup) {
        val dying = WorkManagerImpl.getInstance(context)
        fun files() = context.noBackupFilesDir.listFiles { file -> file.name.startsWith("androidx.work.workdb") }.orEmpty()
        // Between two transactions. SQLite rebuilds the index of the log (-shm) from the log.
        val atTheKill = withContext(dying.workTaskExecutor.taskCoroutineDispatcher) {
            files().filter { !it.name.endsWith("-shm") }.associateWith { it.readBytes() }
        }
        backup.close()
        backup.awaitQuiescent()
        eventually("no worker is left") {
            val known = withContext(Dispatchers.IO) { dying.getWorkInfosByTag(KeyBackupWork.TAG).get() }
            known.none { it.state == WorkInfo.State.RUNNING }
        }
        // What the end of a worker leaves to its threads.
        repeat(10) {
            withContext(dying.workTaskExecutor.taskCoroutineDispatcher) {}
            shadowOf(Looper.getMainLooper()).idle()
        }
        dying.workDatabase.close()
        WorkManagerImpl.setDelegate(null)
        files().forEach { it.delete() }
        atTheKill.forEach { (file, content) -> file.writeBytes(content) }
    }

    /** Signs the example app in to this homeserver's account. */
    fun signIn(homeserver: Homeserver) {
        Session.save(context, Session(homeserver.signedIn, homeserver.accessToken))
    }

    /** Tells everybody who listens that there is a network. */
    fun connect(isMetered: Boolean = false) {
        val capabilities = ShadowNetworkCapabilities.newInstance()
        with(shadowOf(capabilities)) {
            addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
            addCapability(NetworkCapabilities.NET_CAPABILITY_VALIDATED)
            addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_RESTRICTED)
            if (!isMetered) addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)
        }
        shadowOf(networks).setActiveNetworkInfo(connected)
        shadowOf(networks).setNetworkCapabilities(network, capabilities)
        current = capabilities
        told.clear()
        tellNewcomers()
    }

    /** Tells those who have begun to listen what the network is, as the OS does at once. Robolectric does not. */
    fun tellNewcomers() {
        val capabilities = current ?: return
        for (callback in callbacks().filter(told::add)) {
            callback.onAvailable(network)
            callback.onCapabilitiesChanged(network, capabilities)
        }
    }

    /** Tells everybody who listens that the network is gone. */
    fun disconnect() {
        shadowOf(networks).setActiveNetworkInfo(null)
        current = null
        for (callback in callbacks()) callback.onLost(network)
    }

    /** Returns who listens to the network. Others may begin to listen meanwhile, which Robolectric's set does not bear. */
    private fun callbacks(): List<ConnectivityManager.NetworkCallback> {
        while (true) {
            try {
                return shadowOf(networks).networkCallbacks.toList()
            } catch (_: ConcurrentModificationException) {
                continue
            }
        }
    }

    /** Returns the work of an account that WorkManager knows. */
    suspend fun work(userId: String, purpose: WakeUpPurpose = WakeUpPurpose.DOWNLOAD): List<WorkInfo> =
        withContext(Dispatchers.IO) {
            WorkManager.getInstance(context).getWorkInfosForUniqueWork(KeyBackupWork.workName(userId, purpose)).get()
        }
}

/** Runs a test on the main thread of the phone, and fails it if it hangs. */
internal fun test(phone: Phone = Phone(), block: suspend Phone.() -> Unit): Unit = runBlocking {
    val newcomers = launch {
        while (true) {
            phone.tellNewcomers()
            delay(10.milliseconds)
        }
    }
    withTimeout(60.seconds) { phone.block() }
    newcomers.cancel()
}

/** Waits until [condition] holds, and lets the main thread of the phone work meanwhile. */
internal suspend fun eventually(
    what: String,
    patience: Duration = 20.seconds,
    condition: suspend () -> Boolean,
) {
    val end = System.nanoTime() + patience.inWholeNanoseconds
    while (true) {
        shadowOf(Looper.getMainLooper()).idle()
        if (condition()) return
        check(System.nanoTime() < end) { "waited in vain: $what" }
        delay(10.milliseconds)
    }
}


internal val Homeserver.userId: String get() = signedIn.userId

internal val AT_ONCE = WakeUp(Duration.ZERO, needsNetwork = true, needsUnmetered = false, needsCharging = false, expectedBytes = 0u)

/** Signs in and unlocks, which asks for a wake-up of the download. */
internal suspend fun Phone.unlocked(homeserver: Homeserver): KeyBackup {
    signIn(homeserver)
    val backup = checkNotNull(context.keyBackup(homeserver.userId))
    backup.unlock(homeserver.recoveryKey)
    return backup
}

/** Opens a backup with access to the app's crypto, and lets a worker download it. */
internal suspend fun Phone.downloaded(homeserver: Homeserver, crypto: SmallCrypto): KeyBackup {
    connect()
    val backup = KeyBackup.open(
        context,
        homeserver.signedIn,
        secretKeeper = crypto,
        backupSigner = crypto,
        roomKeySource = crypto,
    ) { homeserver.accessToken }
    backup.unlock(homeserver.recoveryKey)
    eventually("every key is here") { backup.state.value is KeyBackupState.Done }
    return backup
}

internal const val SLOW_KEYS = 5_000

/** A homeserver that takes two seconds or more for its backup of 4.3 MB. */
internal fun slowHomeserver(bytesPerSecond: Int = 2_000_000) =
    Homeserver("--keys", "$SLOW_KEYS", "--rooms", "10", "--bytes-per-second", "$bytesPerSecond")
