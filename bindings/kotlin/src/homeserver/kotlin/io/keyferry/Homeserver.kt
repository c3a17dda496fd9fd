package io.keyferry

import java.net.URI
import java.net.URLEncoder
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/** Runs the test homeserver in its own process, which ends when its standard input is closed. */
internal class Homeserver(vararg arguments: String) : AutoCloseable {
    private val process = ProcessBuilder(listOf(System.getProperty("keyferry.homeserver")) + arguments)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start()
    private val account = process.inputStream.bufferedReader().readLine() ?: error("the homeserver does not start")

    val signedIn = Account(text("homeserver_url"), text("user_id"), text("device_id"))
    val accessToken = text("access_token")
    val recoveryKey = UnlockSecret.RecoveryKey(text("recovery_key"))

    fun text(name: String): String =
        Regex("\"$name\":\"([^\"]*)\"").find(account)?.groupValues?.get(1) ?: error("no $name in the account")

    fun options(directory: Path) = ClientOptions(
        signedIn,
        directory.resolve("vault").toString(),
        VaultProtection.Key(ByteArray(32) { 7 }),
    )

    /** Makes a request as the library does, for tests of a transport alone. */
    fun request(path: String, idleTimeout: Duration = 60.seconds) = io.keyferry.HttpRequest(
        HttpMethod.GET,
        text("homeserver_url") + "/_matrix/client/v3" + path,
        listOf(HttpHeader("Authorization", "Bearer $accessToken")),
        null,
        idleTimeout,
    )

    fun setFaults(json: String) {
        val answer = send("/_control/faults") { POST(HttpRequest.BodyPublishers.ofString(json)) }
        check(answer.statusCode() == 200) { answer.body() }
    }

    /** Returns the room id and session id of the first key in the backup. */
    fun firstKey(): Pair<String, String> {
        val backup = send("/_matrix/client/v3/room_keys/keys?version=" + text("backup_version")) { GET() }.body()
        val names = Regex("\"rooms\":\\{\"([^\"]+)\":\\{\"sessions\":\\{\"([^\"]+)\"").find(backup)
        val (room, session) = names?.destructured ?: error("no key in the backup")
        return room to session
    }

    /** Returns an entry of the backup as it is stored, with the room id and session id that it has there. */
    fun firstEntry(): Triple<String, String, String> {
        val (room, session) = firstKey()
        val path = "/_matrix/client/v3/room_keys/keys/" + encoded(room) + "/" + encoded(session)
        return Triple(room, session, send(path + "?version=" + text("backup_version")) { GET() }.body())
    }

    /** Returns the number and the public key of the current backup version. */
    fun currentVersion(): Pair<String, String> {
        val answer = send("/_matrix/client/v3/room_keys/version") { GET() }.body()
        fun field(name: String) = Regex("\"$name\":\"([^\"]*)\"").find(answer)?.groupValues?.get(1) ?: error(answer)
        return field("version") to field("public_key")
    }

    /** Whether there is a backup version of this number. */
    fun hasVersion(version: String): Boolean =
        send("/_matrix/client/v3/room_keys/version/$version") { GET() }.statusCode() == 200

    /** Reads the content of account data as another client does. Returns `null` if there is none. */
    fun accountData(type: String): String? {
        val answer = send(accountDataPath(type)) { GET() }
        return answer.body().takeIf { answer.statusCode() == 200 }
    }

    /** Writes account data as another client does. */
    fun putAccountData(type: String, json: String) {
        val answer = send(accountDataPath(type)) { PUT(HttpRequest.BodyPublishers.ofString(json)) }
        check(answer.statusCode() == 200) { answer.body() }
    }

    private fun accountDataPath(type: String) =
        "/_matrix/client/v3/user/" + encoded(text("user_id")) + "/account_data/" + type

    private fun encoded(id: String) = URLEncoder.encode(id, Charsets.UTF_8)

    private fun send(path: String, method: HttpRequest.Builder.() -> HttpRequest.Builder): HttpResponse<String> {
        val request = HttpRequest.newBuilder(URI(text("homeserver_url") + path))
            .header("Authorization", "Bearer $accessToken")
            .method()
            .build()
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString())
    }

    override fun close() {
        process.outputStream.close()
        process.waitFor()
    }
}
