package io.keyferry

import android.security.keystore.KeyGenParameterSpec
import java.io.InputStream
import java.io.OutputStream
import java.security.Key
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.UnrecoverableKeyException
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import java.util.concurrent.ConcurrentHashMap
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.crypto.spec.SecretKeySpec

/** Stands in for AndroidKeyStore, which Robolectric does not have. Its keys are in memory and can be lost. */
internal class FakeKeystore : Provider("AndroidKeyStore", "1.0", "for tests") {
    init {
        put("KeyStore.AndroidKeyStore", FakeKeyStoreSpi::class.java.name)
        put("KeyGenerator.AES", FakeKeyGeneratorSpi::class.java.name)
    }

    companion object {
        val keys: MutableMap<String, SecretKey> = ConcurrentHashMap()

        /** What every access throws, if anything. */
        @Volatile
        var failure: Exception? = null

        /** Keys whose use throws as that of a key which the system cannot recover. */
        val unrecoverable: MutableSet<String> = ConcurrentHashMap.newKeySet()

        fun install() {
            Security.removeProvider("AndroidKeyStore")
            Security.addProvider(FakeKeystore())
        }
    }
}

internal class FakeKeyGeneratorSpi : KeyGeneratorSpi() {
    private var alias = ""

    override fun engineInit(random: SecureRandom) = error("needs a KeyGenParameterSpec")

    override fun engineInit(size: Int, random: SecureRandom) = error("needs a KeyGenParameterSpec")

    override fun engineInit(parameters: AlgorithmParameterSpec, random: SecureRandom?) {
        alias = (parameters as KeyGenParameterSpec).keystoreAlias
    }

    override fun engineGenerateKey(): SecretKey {
        val key = SecretKeySpec(ByteArray(32).also(SecureRandom()::nextBytes), "AES")
        FakeKeystore.keys[alias] = key
        FakeKeystore.unrecoverable -= alias
        return key
    }
}

internal class FakeKeyStoreSpi : KeyStoreSpi() {
    override fun engineGetKey(alias: String, password: CharArray?): Key? {
        FakeKeystore.failure?.let { throw it }
        if (alias in FakeKeystore.unrecoverable) throw UnrecoverableKeyException("lost")
        return FakeKeystore.keys[alias]
    }

    override fun engineDeleteEntry(alias: String) {
        FakeKeystore.keys -= alias
    }

    override fun engineLoad(stream: InputStream?, password: CharArray?) = Unit
    override fun engineContainsAlias(alias: String): Boolean = alias in FakeKeystore.keys
    override fun engineIsKeyEntry(alias: String): Boolean = alias in FakeKeystore.keys
    override fun engineSize(): Int = FakeKeystore.keys.size
    override fun engineAliases(): Enumeration<String> = Collections.enumeration(FakeKeystore.keys.keys)
    override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null
    override fun engineGetCertificate(alias: String): Certificate? = null
    override fun engineGetCreationDate(alias: String): Date = Date(0)
    override fun engineIsCertificateEntry(alias: String): Boolean = false
    override fun engineGetCertificateAlias(certificate: Certificate): String? = null
    override fun engineSetKeyEntry(a: String, k: Key, p: CharArray?, c: Array<Certificate>?) = error("not used")
    override fun engineSetKeyEntry(a: String, k: ByteArray, c: Array<Certificate>?) = error("not used")
    override fun engineSetCertificateEntry(a: String, c: Certificate) = error("not used")
    override fun engineStore(stream: OutputStream?, password: CharArray?) = error("not used")
}
