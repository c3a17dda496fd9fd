package org.matrix.keyferry.android

import android.content.Context
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.util.AtomicFile
import java.io.File
import java.io.FileNotFoundException
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.UnrecoverableKeyException
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec
import org.matrix.keyferry.ffi.HostException
import org.matrix.keyferry.ffi.Keyring

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
        val sealed = try {
            file(name).readFully()
        } catch (_: FileNotFoundException) {
            return@answered null
        }
        val key = existingKey(name) ?: return@answered null
        try {
            open(key, name, sealed)
        } catch (_: AEADBadTagException) {
            null
        } catch (_: KeyPermanentlyInvalidatedException) {
            null
        }
    }

    override fun store(name: String, secret: ByteArray): Unit = answered {
        val cipher = Cipher.getInstance(TRANSFORMATION)
        try {
            cipher.init(Cipher.ENCRYPT_MODE, existingKey(name) ?: newKey(name))
        } catch (_: KeyPermanentlyInvalidatedException) {
            cipher.init(Cipher.ENCRYPT_MODE, newKey(name))
        }
        cipher.updateAAD(name.toByteArray())
        file(name).replace(cipher.iv + cipher.doFinal(secret))
    }

    /** Deletes the item with that name and the key that encrypts it: the vault cannot be opened any more. */
    public fun delete(name: String): Unit = answered {
        file(name).delete()
        keyStore().deleteEntry(name)
    }

    /** Returns the key of AndroidKeyStore, or `null` if it is lost. */
    private fun existingKey(name: String): SecretKey? = try {
        keyStore().getKey(name, null) as SecretKey?
    } catch (_: UnrecoverableKeyException) {
        null
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
    throw HostException.Failed(failure.toString())
} catch (failure: java.io.IOException) {
    throw HostException.Failed(failure.toString())
} catch (failure: RuntimeException) {
    // ProviderException, and whatever else the Keystores of manufacturers throw.
    throw HostException.Failed(failure.toString())
}
