package io.keyferry

import java.util.concurrent.CopyOnWriteArrayList

private const val DEFAULT_KEY = "m.secret_storage.default_key"
private const val OWN_KEY = "small"

/**
 * The crypto of an app, as small as can be: it signs nothing, has at most one page of keys, and writes its secrets
 * unencrypted.
 */
internal class SmallCrypto(private val homeserver: Homeserver) : SecretKeeper, BackupSigner, RoomKeySource {
    /** The backups that it was told to use. */
    val used: MutableList<NewBackup> = CopyOnWriteArrayList()

    /** The backup that it uploads to. */
    @Volatile
    var inUse: BackupTarget? = null

    /** The keys that it has and the backup has not. */
    @Volatile
    var page: SourcePage? = null

    /** Is called with the name of each callback, and may throw. */
    @Volatile
    var onCall: suspend (name: String) -> Unit = {}

    /** Lets it upload to the current version, and gives it an entry that it takes not to be there. */
    fun hasOneToUpload() {
        val (version, publicKey) = homeserver.currentVersion()
        val (room, session, entry) = homeserver.firstEntry()
        inUse = BackupTarget(version, publicKey)
        page = SourcePage("page", """{"$room":{"sessions":{"$session":$entry}}}""")
    }

    override suspend fun prepareStorage(renew: Boolean) {
        onCall("prepareStorage")
        // Called again after a kill: renewed only once.
        if (renew && defaultKey() != OWN_KEY) homeserver.putAccountData(DEFAULT_KEY, """{"key":"$OWN_KEY"}""")
    }

    override suspend fun writeSecret(name: String, secret: String) {
        onCall("writeSecret")
        homeserver.putAccountData(name, """{"encrypted":{"${defaultKey()}":{"secret":"$secret"}}}""")
    }

    override suspend fun readSecret(name: String): String? {
        onCall("readSecret")
        val content = homeserver.accountData(name) ?: return null
        return Regex("\"${defaultKey()}\":\\{\"secret\":\"([^\"]*)\"").find(content)?.groupValues?.get(1)
    }

    override suspend fun signAuthData(authDataJson: String): String {
        onCall("signAuthData")
        return authDataJson
    }

    override suspend fun countRoomKeys(): SourceCounts {
        onCall("countRoomKeys")
        return SourceCounts(total = 1u, backedUp = if (page == null) 1u else 0u)
    }

    override suspend fun backupInUse(): BackupTarget? {
        onCall("backupInUse")
        return inUse
    }

    override suspend fun nextPage(backup: BackupTarget): SourcePage? {
        onCall("nextPage")
        return page.takeIf { backup == inUse }
    }

    override suspend fun markPage(pageId: String) {
        onCall("markPage")
        if (page?.id == pageId) page = null
    }

    override suspend fun useBackup(backup: NewBackup) {
        onCall("useBackup")
        used += backup
        inUse = backup.target
    }

    override suspend fun markReadBack(backup: BackupTarget, keys: List<RoomKey>): Unit = onCall("markReadBack")

    private fun defaultKey(): String? =
        homeserver.accountData(DEFAULT_KEY)?.let { Regex("\"key\":\"([^\"]*)\"").find(it)?.groupValues?.get(1) }
}
