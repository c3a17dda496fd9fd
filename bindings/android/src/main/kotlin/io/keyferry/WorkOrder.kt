package io.keyferry

import android.os.PersistableBundle
import androidx.work.Data
import androidx.work.workDataOf

private const val USER_ID = "user_id"
private const val PURPOSE = "purpose"
private const val EXPECTED_BYTES = "expected_bytes"
private const val IS_BY_USER = "is_by_user"

/** What a worker or a job is to do, as it is written into its request. */
internal data class WorkOrder(
    val userId: String,
    val purpose: WakeUpPurpose,
    /** How much the work expects to send and receive. */
    val expectedBytes: Long = 0,
    /** Whether the user has started it by hand, and sees it in a notification. */
    val isByUser: Boolean = false,
) {
    fun toData(): Data = workDataOf(
        USER_ID to userId,
        PURPOSE to purpose.name,
        EXPECTED_BYTES to expectedBytes,
        IS_BY_USER to isByUser,
    )

    /** For a job that the user has started: there is no other. */
    fun toBundle(): PersistableBundle = PersistableBundle().apply {
        putString(USER_ID, userId)
        putString(PURPOSE, purpose.name)
        putLong(EXPECTED_BYTES, expectedBytes)
    }

    companion object {
        /** Returns `null` for data that an incompatible version of the app has written. */
        fun of(data: Data): WorkOrder? {
            val userId = data.getString(USER_ID) ?: return null
            val purpose = purpose(data.getString(PURPOSE)) ?: return null
            return WorkOrder(userId, purpose, data.getLong(EXPECTED_BYTES, 0), data.getBoolean(IS_BY_USER, false))
        }

        fun of(bundle: PersistableBundle): WorkOrder? {
            val userId = bundle.getString(USER_ID) ?: return null
            val purpose = purpose(bundle.getString(PURPOSE)) ?: return null
            return WorkOrder(userId, purpose, bundle.getLong(EXPECTED_BYTES), isByUser = true)
        }

        private fun purpose(name: String?): WakeUpPurpose? = WakeUpPurpose.entries.find { it.name == name }
    }
}
