package io.keyferry

/** Returns the options with the app's crypto, each part so that an `Error` of it reaches Rust as "not now". */
internal fun ClientOptions.with(
    secretKeeper: SecretKeeper?,
    backupSigner: BackupSigner?,
    roomKeySource: RoomKeySource?,
): ClientOptions = copy(
    secretKeeper = (secretKeeper ?: this.secretKeeper)?.let(::AnsweringKeeper),
    backupSigner = (backupSigner ?: this.backupSigner)?.let(::AnsweringSigner),
    roomKeySource = (roomKeySource ?: this.roomKeySource)?.let(::AnsweringSource),
)

private class AnsweringKeeper(private val keeper: SecretKeeper) : SecretKeeper {
    override suspend fun prepareStorage(renew: Boolean): Unit =
        answered(CryptoException::Unavailable) { keeper.prepareStorage(renew) }

    override suspend fun writeSecret(name: String, secret: String): Unit =
        answered(CryptoException::Unavailable) { keeper.writeSecret(name, secret) }

    override suspend fun readSecret(name: String): String? =
        answered(CryptoException::Unavailable) { keeper.readSecret(name) }
}

private class AnsweringSigner(private val signer: BackupSigner) : BackupSigner {
    override suspend fun signAuthData(authDataJson: String): String =
        answered(CryptoException::Unavailable) { signer.signAuthData(authDataJson) }
}

private class AnsweringSource(private val source: RoomKeySource) : RoomKeySource {
    override suspend fun countRoomKeys(): SourceCounts =
        answered(CryptoException::Unavailable) { source.countRoomKeys() }

    override suspend fun backupInUse(): BackupTarget? =
        answered(CryptoException::Unavailable) { source.backupInUse() }

    override suspend fun nextPage(backup: BackupTarget): SourcePage? =
        answered(CryptoException::Unavailable) { source.nextPage(backup) }

    override suspend fun markPage(pageId: String): Unit =
        answered(CryptoException::Unavailable) { source.markPage(pageId) }

    override suspend fun useBackup(backup: NewBackup): Unit =
        answered(CryptoException::Unavailable) { source.useBackup(backup) }

    override suspend fun markReadBack(backup: BackupTarget, keys: List<RoomKey>): Unit =
        answered(CryptoException::Unavailable) { source.markReadBack(backup, keys) }
}
