package io.keyferry

import java.io.IOException
import java.io.InterruptedIOException
import java.net.ConnectException
import java.net.NoRouteToHostException
import java.net.SocketTimeoutException
import java.net.UnknownHostException
import java.net.UnknownServiceException
import java.security.GeneralSecurityException
import javax.net.ssl.SSLException
import javax.net.ssl.SSLHandshakeException
import javax.net.ssl.SSLPeerUnverifiedException
import okhttp3.Call

/**
 * Translates an exception of OkHttp or of the platform: into one that passes by itself, or one that needs attention.
 */
internal fun IOException.toTransportException(call: Call): TransportException = when {
    call.isCanceled() -> TransportException.Closed()
    this is UnknownHostException || this is ConnectException || this is NoRouteToHostException ->
        TransportException.Offline()
    this is SocketTimeoutException || this is InterruptedIOException -> TransportException.Timeout()
    this is SSLException && isAboutTrust() -> TransportException.Tls()
    // The platform does not permit plain http, and will not do so the next time either.
    this is UnknownServiceException -> TransportException.Failed("this kind of connection is not permitted")
    else -> TransportException.Interrupted()
}

/**
 * Returns whether the certificate is not trusted. A handshake that was only cut, as happens on poor networks, has an
 * end of file or a broken socket as its cause.
 */
private fun SSLException.isAboutTrust(): Boolean = when (this) {
    is SSLPeerUnverifiedException -> true
    is SSLHandshakeException -> cause !is IOException || cause is SSLException
    else -> generateSequence(cause) { it.cause }.any { it is GeneralSecurityException }
}
