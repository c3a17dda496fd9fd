package io.keyferry

import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertInstanceOf
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private const val KEYS = 300
private const val ROOMS = 3

internal class OnDemandTest {
    @TempDir
    lateinit var directory: Path

    @Test
    fun `a key and a room can be fetched before any download`() = withHomeserver { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val (room, session) = homeserver.firstKey()
            assertEquals(RoomKeyLookup.NotFound, backup.findRoomKey(room, session))
            val found = assertInstanceOf(RoomKeyLookup.Found::class.java, backup.fetchSession(room, session))
            assertEquals(room to session, found.key.roomId to found.key.sessionId)
            assertEquals(found, backup.findRoomKey(room, session))
            assertEquals(RoomKeyLookup.NotFound, backup.fetchSession(room, "nobody"))
            val begins = found.key.firstKnownIndex
            assertEquals(found, backup.fetchSession(room, session, betterThan = begins + 1u))
            assertEquals(RoomKeyLookup.NotFound, backup.fetchSession(room, session, betterThan = begins))
            assertEquals(KeyProof.NOT_PROVED, backup.proveRoomKey(room, session, eventJson = "{}"))

            val fetched = backup.fetchRoom(room)
            assertTrue(fetched.askedServer)
            assertEquals((KEYS / ROOMS - 1).toULong(), fetched.newKeys)
            assertFalse(backup.fetchRoom(room).askedServer, "all keys of the room are here")
        }
    }

    @Test
    fun `rooms can be prioritised at any time, and a refresh reports new keys`() = withHomeserver { homeserver ->
        homeserver.open(directory).use { backup ->
            backup.unlock(homeserver.recoveryKey)
            val (room, _) = homeserver.firstKey()
            backup.prioritiseRooms(listOf(room))
            assertEquals(ServerNews.NewKeys(KEYS.toULong()), backup.refresh())
            assertCompleted(backup.run().outcome)
            backup.prioritiseRooms(listOf(room))
            assertEquals(ServerNews.NothingNew, backup.refresh())
        }
    }

    @Test
    fun `a request reports that it is on hold, or that the backup is locked`() = withHomeserver { homeserver ->
        homeserver.open(directory).use { backup ->
            val (room, session) = homeserver.firstKey()
            backup.pause(PauseCause.OFFLINE)
            val held = thrownBy<AccessException.OnHold> { backup.fetchSession(room, session) }
            assertEquals(listOf(PauseCause.OFFLINE), held.causes)
            backup.resume(PauseCause.OFFLINE)
            thrownBy<AccessException.Locked> { backup.fetchSession(room, session) }
        }
    }

    private fun withHomeserver(block: suspend (Homeserver) -> Unit) = test {
        Homeserver("--keys", "$KEYS", "--rooms", "$ROOMS").use { block(it) }
    }
}
