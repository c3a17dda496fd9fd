// What trixnity makes of the sessions in a key export file, and a key backup that trixnity made.
// Trixnity has no function that reads a key export file: this decrypts it with trixnity's own primitives, and stores
// each session as trixnity's KeyBackupService stores one of a backup.
import de.connect2x.trixnity.client.*
import de.connect2x.trixnity.client.cryptodriver.vodozemac.vodozemac
import de.connect2x.trixnity.client.key.KeyBackupService
import de.connect2x.trixnity.client.media.inMemory
import de.connect2x.trixnity.client.store.*
import de.connect2x.trixnity.client.store.repository.*
import de.connect2x.trixnity.clientserverapi.client.ClassicMatrixClientAuthProviderData
import de.connect2x.trixnity.core.model.RoomId
import de.connect2x.trixnity.core.model.events.m.room.*
import de.connect2x.trixnity.core.model.keys.*
import de.connect2x.trixnity.core.model.keys.RoomKeyBackupSessionData.EncryptedRoomKeyBackupV1SessionData.RoomKeyBackupV1SessionData
import de.connect2x.trixnity.crypto.SecretType.M_MEGOLM_BACKUP_V1
import de.connect2x.trixnity.crypto.core.*
import de.connect2x.trixnity.crypto.driver.CryptoDriver
import de.connect2x.trixnity.crypto.olm.*
import de.connect2x.trixnity.utils.*
import io.ktor.client.engine.mock.*
import io.ktor.http.*
import java.io.File
import java.nio.ByteBuffer
import java.util.Base64
import kotlin.system.exitProcess
import kotlinx.coroutines.flow.*
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.*
import org.koin.core.qualifier.named

/** What a homeserver would hold. */
class Server {
    lateinit var version: JsonObject
    val rooms = mutableMapOf<String, MutableMap<String, JsonElement>>()

    fun answer(route: String, body: String): String = when (route) {
        "GET /account/whoami" -> """{"user_id": "@trixnity:interop.invalid", "device_id": "TRIXNITY"}"""
        "POST /keys/upload" -> """{"one_time_key_counts": {}}"""
        "POST /room_keys/version" -> """{"version": "1"}""".also { version = Json.parseToJsonElement(body).jsonObject }
        "GET /room_keys/version" -> """{"version": "1", "count": 0, "etag": "0", ${"$version".drop(1)}"""
        "PUT /room_keys/keys" -> """{"count": 0, "etag": "0"}""".also {
            for ((room, content) in Json.parseToJsonElement(body).jsonObject["rooms"]!!.jsonObject)
                rooms.getOrPut(room) { mutableMapOf() } += content.jsonObject["sessions"]!!.jsonObject
        }
        else -> """{"filter_id": "1"}"""
    }
}

suspend fun start(server: Server): MatrixClient = MatrixClient.create(
    RepositoriesModule.inMemory(), MediaStoreModule.inMemory(), CryptoDriverModule.vodozemac(),
    ClassicMatrixClientAuthProviderData(Url("http://interop.invalid"), "none", null, null),
) {
    httpClientEngine = MockEngine { request ->
        val path = request.url.encodedPath.removePrefix("/_matrix/client/v3")
        val answer = server.answer("${request.method.value} $path", String(request.body.toByteArray()))
        respond(answer, HttpStatusCode.OK, headersOf(HttpHeaders.ContentType, "application/json"))
    }
}.getOrThrow()

/** What the store holds. The index is that of the stored session itself, not the one noted beside it. */
suspend fun holds(client: MatrixClient): JsonArray {
    val megolm = client.di.get<CryptoDriver>().megolm
    return JsonArray(client.di.get<InboundMegolmSessionRepository>().getAll().sortedBy { it.sessionId }.map {
        megolm.inboundGroupSession.fromPickle(it.pickled, null).use { session ->
            check(session.sessionId == it.sessionId && session.firstKnownIndex.toLong() == it.firstKnownIndex)
            buildJsonObject {
                put("room_id", it.roomId.full); put("session_id", it.sessionId)
                put("first_known_index", session.firstKnownIndex)
                put("shared_history", JsonNull) // trixnity has no such flag
            }
        }
    })
}

suspend fun open(file: File, passphrase: String): JsonArray {
    val lines = file.readLines()
    check(listOf(lines.first(), lines.last()) == listOf("BEGIN", "END").map { "-----$it MEGOLM SESSION DATA-----" })
    val bytes = Base64.getMimeDecoder().decode(lines.drop(1).dropLast(1).joinToString(""))
    check(bytes[0] == 1.toByte()) { "version ${bytes[0]}" }
    val (body, mac) = bytes.copyOf(bytes.size - 32) to bytes.copyOfRange(bytes.size - 32, bytes.size)
    val keys = generatePbkdf2Sha512(passphrase, body.copyOfRange(1, 17), ByteBuffer.wrap(body).getInt(33), 512)
    check(hmacSha256(keys.copyOfRange(32, 64), body).contentEquals(mac)) { "wrong passphrase, or a changed file" }
    val plain = body.copyOfRange(37, body.size).toByteArrayFlow()
        .decryptAes256Ctr(keys.copyOfRange(0, 32), body.copyOfRange(17, 33)).toByteArray()
    return Json.parseToJsonElement(String(plain)).jsonArray
}

/** As KeyBackupServiceImpl.loadMegolmSession does, with the same demands. */
suspend fun store(client: MatrixClient, element: JsonObject) {
    val megolm = client.di.get<CryptoDriver>().megolm
    val data = client.di.get<Json>().decodeFromJsonElement(RoomKeyBackupV1SessionData.serializer(), element)
    val room = RoomId(element.getValue("room_id").jsonPrimitive.content)
    val session = megolm.inboundGroupSession.import(megolm.exportedSessionKey(data.sessionKey.value))
    check(session.sessionId == element.getValue("session_id").jsonPrimitive.content) { "the id is another session's" }
    val signingKey = data.senderClaimedKeys.filterIsInstance<Key.Ed25519Key>().firstOrNull()
        ?: error("no claimed ed25519 key, which trixnity's store must have")
    client.di.get<OlmCryptoStore>().updateInboundMegolmSession(session.sessionId, room) {
        if (it != null && it.firstKnownIndex <= session.firstKnownIndex) it
        else StoredInboundMegolmSession(
            data.senderKey, signingKey.value, session.sessionId, room, session.firstKnownIndex.toLong(),
            hasBeenBackedUp = false, isTrusted = false, data.forwardingKeyChain, session.pickle(null))
    }
}

/** Encrypts a message with a new session each, and forgets the first indices of a quarter of the sessions. */
suspend fun create(client: MatrixClient, keys: Int) {
    val (megolm, crypto) = client.di.get<CryptoDriver>().megolm to client.di.get<OlmCryptoStore>()
    for (i in 0 until keys) {
        val room = RoomId("!room${i % 3}:interop.invalid")
        client.di.get<RoomStore>().update(room) { Room(room, membersLoaded = true) }
        val sent = client.di.get<OlmEncryptionService>()
            .encryptMegolm(RoomMessageEventContent.TextBased.Text("Hello"), room, EncryptionEventContent()).getOrThrow()
        crypto.updateOutboundMegolmSession(room) { null }
        if (i % 4 == 3) crypto.updateInboundMegolmSession(sent.sessionId, room) {
            val later = megolm.inboundGroupSession.fromPickle(it!!.pickled, null).exportAt(7 * i)!!
            it.copy(firstKnownIndex = 7L * i, pickled = megolm.inboundGroupSession.import(later).pickle(null))
        }
    }
}

suspend fun backup(keys: Int): JsonObject {
    val server = Server()
    val client = start(server)
    val master = client.di.get<CryptoDriver>().key.ed25519SecretKey()
    val service = client.di.get<KeyBackupService>(named<KeyBackupService>())
    service.bootstrapRoomKeyBackup(ByteArray(32), "none", master.base64, master.publicKey.base64).getOrThrow()
    service.version.filterNotNull().first()
    create(client, keys)
    client.di.get<OlmCryptoStore>().notBackedUpInboundMegolmSessions.first { it.isEmpty() }
    val key = client.di.get<KeyStore>().getSecrets().getValue(M_MEGOLM_BACKUP_V1).decryptedPrivateKey
    return buildJsonObject {
        put("auth_data", server.version["auth_data"]!!)
        put("decryption_key", Base64.getEncoder().encodeToString(Base64.getDecoder().decode(key))) // with padding
        put("rooms", JsonObject(server.rooms.mapValues { JsonObject(mapOf("sessions" to JsonObject(it.value))) }))
        put("expected", holds(client))
    }
}

fun main(args: Array<String>): Unit = runBlocking {
    when (args.firstOrNull()) {
        "import" -> start(Server()).let { client ->
            for (element in open(File(args[1]), args[2])) runCatching { store(client, element.jsonObject) }
                .onFailure { System.err.println("not stored: ${it.message} (${element.jsonObject["session_id"]})") }
            println(holds(client))
        }
        "backup" -> println(backup(args[1].toInt()))
        else -> error("usage: import FILE PASSPHRASE | backup KEYS")
    }
    exitProcess(0) // the client has no end of its own
}
