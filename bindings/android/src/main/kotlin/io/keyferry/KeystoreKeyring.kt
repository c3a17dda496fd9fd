package io.keyferry

import android.content.Context
import android.os.Build
import android.security.KeyStoreException
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.util.AtomicFile
import android.util.Log
import androidx.annotation.RequiresApi
import java.io.File
import java.io.IOException
import java.security.GeneralSecurityException
import java.security.InvalidKeyException
import java.security.KeyStore
import java.security.UnrecoverableKeyException
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

private const val PROVIDER = "AndroidKeyStore"
private const val TRANSFORMATION = "AES/GCM/NoPadding"
private const val TAG_BITS = 128
private const val NONCE_BYTES = 12
private const val KEY_BITS = 256

/**
 * Keeps the keys of vaults in files, each encrypted by an AES key of AndroidKeyStore that cannot be exported. Works
 * while the phone is locked, as background work must.
 *
 * A key that AndroidKeyStore has lost or invalidated, or that a restored file does not belong to, counts as lost:
 * `KeyBackup.open` then throws `OpenException.KeyringUnavailable` with `keyLost`, and the app sets the vault aside. A
 * Keystore that cannot be asked now throws [HostException], and counts as "not now".
 *
 * @param directory where the files are; below `noBackupFilesDir` by default, because a restored file is of no use
 */
public class KeystoreKeyring @JvmOverloads constructor(
    context: Context,
    private val directory: File = File(context.noBackupFilesDir, "keyferry/keyring"),
) : Keyring {
    override fun load(name: String): ByteArray? = answered {
        val file = file(name)
        // Asked, and not found out by an exception: opening a file that is there fails in the same way.
        if (!file.isThere()) return@answered null
        val sealed = file.readFully()
        val key = existingKey(name) ?: return@answered null
        try {
            open(key, name, sealed)
        } catch (_: AEADBadTagException) {
            null
        } catch (failure: InvalidKeyException) {
            if (failure.isLoss()) null else throw failure
        }
    }

    override fun store(name: String, secret: ByteArray): Unit = answered {
        val cipher = Cipher.getInstance(TRANSFORMATION)
        try {
            cipher.init(Cipher.ENCRYPT_MODE, existingKey(name) ?: newKey(name))
        } catch (failure: InvalidKeyException) {
            if (!failure.isLoss()) throw failure
            cipher.init(Cipher.ENCRYPT_MODE, newKey(name))
        }
        cipher.updateAAD(name.toByteArray())
        file(name).replace(cipher.iv + cipher.doFinal(secret))
    }

    /** Deletes the item with that name, if there is one, and the key that encrypts it: its vault stays closed. */
    public fun delete(name: String): Unit = answered {
        val file = file(name)
        if (!file.isThere()) return@answered
        file.delete()
        keyStore().deleteEntry(name)
    }

    /** Returns the key of AndroidKeyStore, or `null` if it is lost. */
    private fun existingKey(name: String): SecretKey? = try {
        keyStore().getKey(name, null) as SecretKey?
    } catch (failure: UnrecoverableKeyException) {
        if (failure.isLoss()) null else throw failure
    }

    private fun newKey(name: String): SecretKey {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(name, purposes)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(KEY_BITS)
            .build()
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER).apply { init(spec) }.generateKey()
    }

    private fun open(key: SecretKey, name: String, sealed: ByteArray): ByteArray {
        if (sealed.size <= NONCE_BYTES) throw AEADBadTagException()
        val cipher = Cipher.getInstance(TRANSFORMATION)
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, sealed, 0, NONCE_BYTES))
        cipher.updateAAD(name.toByteArray())
        return cipher.doFinal(sealed, NONCE_BYTES, sealed.size - NONCE_BYTES)
    }

    private fun keyStore(): KeyStore = KeyStore.getInstance(PROVIDER).apply { load(null) }

    private fun file(name: String) = AtomicFile(File(directory, "${name.fileName()}.key"))
}

/**
 * Whether a key is lost for good. AndroidKeyStore throws the same exceptions when it is only busy or restarting: then
 * they have a cause, which does not say that the key is gone.
 */
private fun GeneralSecurityException.isLoss(): Boolean {
    val causes = generateSequence<Throwable>(this) { it.cause }
    if (causes.any { it is KeyPermanentlyInvalidatedException }) return true
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU && causes.any(::saysKeyIsGone)) return true
    return this is UnrecoverableKeyException && cause == null
}

@RequiresApi(Build.VERSION_CODES.TIRAMISU)
private fun saysKeyIsGone(cause: Throwable): Boolean = cause is KeyStoreException &&
    cause.numericErrorCode in setOf(KeyStoreException.ERROR_KEY_CORRUPTED, KeyStoreException.ERROR_KEY_DOES_NOT_EXIST)

/** Whether there is a file, or what an interrupted write has left of it. */
private fun AtomicFile.isThere(): Boolean = baseFile.exists() || File("${baseFile.path}.bak").exists()

private fun AtomicFile.replace(content: ByteArray) {
    baseFile.parentFile?.mkdirs()
    val stream = startWrite()
    try {
        stream.write(content)
        finishWrite(stream)
    } catch (failure: Throwable) {
        failWrite(stream)
        throw failure
    }
}

/** Turns whatever the Keystore and the files throw into the exception that the library expects. */
private inline fun <T> answered(work: () -> T): T = try {
    work()
} catch (failure: GeneralSecurityException) {
    throw unavailable(failure)
} catch (failure: IOException) {
    throw unavailable(failure)
} catch (failure: RuntimeException) {
    // ProviderException, and whatever else the Keystores of manufacturers throw.
    throw unavailable(failure)
}

private fun unavailable(failure: Exception): HostException {
    // Here, because the library does not log what comes from the app.
    Log.w(LOG_TAG, "AndroidKeyStore cannot be used now", failure)
    return HostException.Failed(failure.toString())
}
