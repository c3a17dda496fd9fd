package io.keyferry

import java.io.EOFException
import java.io.IOException
import java.net.NoRouteToHostException
import java.net.ProtocolException
import java.net.SocketException
import java.net.SocketTimeoutException
import java.net.UnknownHostException
import java.net.UnknownServiceException
import java.security.cert.CertificateException
import javax.net.ssl.SSLException
import javax.net.ssl.SSLHandshakeException
import javax.net.ssl.SSLPeerUnverifiedException
import okhttp3.OkHttpClient
import okhttp3.Request
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

internal class TransportErrorsTest {
    private val call = OkHttpClient().newCall(Request.Builder().url("http://localhost/").build())

    @Test
    fun `network exceptions are mapped to transport exceptions by their cause`() {
        val handshake = { cause: Throwable -> SSLHandshakeException("handshake").apply { initCause(cause) } }
        val sorted = mapOf(
            UnknownHostException() to TransportException.Offline::class,
            NoRouteToHostException() to TransportException.Offline::class,
            SocketTimeoutException() to TransportException.Timeout::class,
            SSLPeerUnverifiedException("another host") to TransportException.Tls::class,
            handshake(CertificateException()) to TransportException.Tls::class,
            // The network broke before the certificate was checked.
            handshake(EOFException()) to TransportException.Interrupted::class,
            handshake(SocketException()) to TransportException.Interrupted::class,
            SSLException(SocketException("reset")) to TransportException.Interrupted::class,
            ProtocolException("unexpected end of stream") to TransportException.Interrupted::class,
            IOException("unexpected end of stream") to TransportException.Interrupted::class,
            UnknownServiceException("cleartext") to TransportException.Failed::class,
        )
        assertEquals(sorted, sorted.keys.associateWith { it.toTransportException(call)::class })
    }

    @Test
    fun `an exception after a cancellation is mapped to Closed`() {
        call.cancel()
        assertEquals(TransportException.Closed::class, IOException("Canceled").toTransportException(call)::class)
    }
}
