package io.keyferry.example

import android.content.Context
import android.content.SharedPreferences
import io.keyferry.*

/** A signed-in account. A real app has one already, and keeps its token in a safer place than this. */
data class Session(val account: Account, val accessToken: String) {
    companion object {
        /** Returns the account of this user, or the one that is signed in if that is `null`. */
        fun load(context: Context, userId: String? = null): Session? {
            val kept = preferences(context)
            val account = Account(
                kept.getString("homeserver", null) ?: return null,
                kept.getString("user_id", null) ?: return null,
                kept.getString("device_id", null) ?: return null,
            )
            if (userId != null && userId != account.userId) return null
            return Session(account, kept.getString("access_token", null) ?: return null)
        }

        fun save(context: Context, session: Session) {
            preferences(context).edit()
                .putString("homeserver", session.account.homeserverUrl)
                .putString("user_id", session.account.userId)
                .putString("device_id", session.account.deviceId)
                .putString("access_token", session.accessToken)
                .commit()
        }

        fun delete(context: Context) {
            preferences(context).edit().clear().commit()
        }

        private fun preferences(context: Context): SharedPreferences =
            context.getSharedPreferences("session", Context.MODE_PRIVATE)
    }
}
