package org.matrix.keyferry

import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import org.matrix.keyferry.ffi.ArrivedRoomKeys
import org.matrix.keyferry.ffi.DownloadProgress
import org.matrix.keyferry.ffi.JobHost
import org.matrix.keyferry.ffi.TokenRequest

/** The host's callbacks from two functions of the app; what is told goes into flows. */
internal class HostCallbacks(
    private val accessToken: suspend (TokenRequest) -> String,
    private val roomsByPriority: suspend () -> List<String>,
) : JobHost {
    val progress = MutableStateFlow<DownloadProgress?>(null)
    val arrivals = MutableSharedFlow<List<ArrivedRoomKeys>>(
        extraBufferCapacity = 64,
        onBufferOverflow = BufferOverflow.DROP_OLDEST,
    )

    override suspend fun accessToken(request: TokenRequest): String = accessToken.invoke(request)

    override suspend fun roomsByPriority(): List<String> = roomsByPriority.invoke()

    override suspend fun onProgress(progress: DownloadProgress) {
        this.progress.value = progress
    }

    override suspend fun onRoomKeysArrived(arrived: List<ArrivedRoomKeys>) {
        arrivals.tryEmit(arrived)
    }
}
