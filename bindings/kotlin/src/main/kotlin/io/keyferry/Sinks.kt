package io.keyferry

import java.util.IdentityHashMap
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

/**
 * Makes a sink from a function, which takes a batch of keys into the app's crypto and returns one answer for each key,
 * in the same order. Keys that it answers with `Imported` or `Known` must be durable by then. [limits] says how many
 * keys a batch may have, 2,000 by default.
 *
 * ```
 * val sink = roomKeySink { keys ->
 *     crypto.importAndCommit(keys)
 *     keys.map { SinkAnswer.Imported }
 * }
 * ```
 *
 * A batch may come twice, so taking a key again must do no harm. If the function throws, nothing of the batch counts
 * as delivered, the run ends as blocked, and the keys come again in a later run.
 */
public fun roomKeySink(
    limits: SinkLimits = SinkLimits(),
    deliver: suspend (List<RoomKey>) -> List<SinkAnswer>,
): RoomKeySink = object : RoomKeySink {
    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> = deliver.invoke(keys)

    override fun limits(): SinkLimits = limits
}

/**
 * Makes a sink for an SDK that imports key export files, which every Matrix SDK does: each batch goes to [import] as a file
 * with a passphrase of its own. The keys must be durable when [import] returns.
 *
 * ```
 * val sink = keyFileSink { file -> sdk.importRoomKeys(file.content, file.passphrase) }
 * ```
 *
 * If [import] throws [CryptoException.Refused], the batch is halved and tried again, until the key is found for which the
 * file was refused. After any other exception the batch comes again in a later run.
 */
public fun keyFileSink(limits: SinkLimits = SinkLimits(), import: suspend (KeyFile) -> Unit): RoomKeySink =
    roomKeySink(limits) { keys -> inParts(keys) { part -> import(keyFile(part)) } }

/**
 * Makes a sink for matrix-sdk-crypto-ffi. Keys that are in the backup which the machine uploads to go to
 * [importFromBackup], as JSON with the version, and are marked as backed up there. All others go to [importFile]: marked
 * for another version, they would never be uploaded.
 *
 * ```
 * val sink = cryptoFfiSink(
 *     ownVersion = { machine.getBackupKeys()?.backupVersion() },
 *     importFromBackup = { json, version -> machine.importRoomKeysFromBackup(json, version, listener) },
 *     importFile = { file -> machine.importRoomKeys(file.content, file.passphrase, listener) },
 * )
 * ```
 *
 * Exceptions count as [keyFileSink] says.
 *
 * @param ownVersion returns the backup version that the machine uploads to, or `null` if it uploads to none
 */
public fun cryptoFfiSink(
    limits: SinkLimits = SinkLimits(),
    ownVersion: suspend () -> String?,
    importFromBackup: suspend (json: String, version: String) -> Unit,
    importFile: suspend (KeyFile) -> Unit,
): RoomKeySink = roomKeySink(limits) { keys ->
    val own = ownVersion()
    val answers = IdentityHashMap<RoomKey, SinkAnswer>()
    for ((version, part) in keys.groupBy { key -> own?.takeIf { key.origin.isCurrent && key.origin.version == it } }) {
        val answered = inParts(part) {
            if (version == null) importFile(keyFile(it)) else importFromBackup(exportedJson(it), version)
        }
        part.zip(answered).toMap(answers)
    }
    keys.map(answers::getValue)
}

private suspend fun inParts(keys: List<RoomKey>, import: suspend (List<RoomKey>) -> Unit): List<SinkAnswer> = try {
    import(keys)
    keys.map { SinkAnswer.Imported }
} catch (refused: CryptoException.Refused) {
    if (keys.size < 2) keys.map { SinkAnswer.Refused(refused.reason) }
    else keys.chunked((keys.size + 1) / 2).flatMap { inParts(it, import) }
}

/**
 * Delivers one batch at a time, also across a pause. A pause cancels the delivery under way without waiting for its
 * end; the next batch waits for it here.
 */
internal class OneAtATimeSink(private val sink: RoomKeySink) : RoomKeySink {
    private val mutex = Mutex()

    override suspend fun deliver(keys: List<RoomKey>): List<SinkAnswer> =
        mutex.withLock { answered(SinkException::Unavailable) { sink.deliver(keys) } }

    override fun limits(): SinkLimits = sink.limits()
}
