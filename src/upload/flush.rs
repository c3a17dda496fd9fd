//! Uploads what the app's crypto has and the backup has not, page by page, and tells the app's crypto when each page is
//! there.
//!
//! A page is made by the app's crypto, which knows nothing of the copies that the backup has. A worse copy must not
//! take the place of a better one there, which some servers would allow, so entries of which the vault knows a better
//! copy in this version are left out.

use std::sync::Arc;

use base64::Engine;
use zeroize::Zeroizing;

use super::{
    page::Page,
    send::{SendEnd, end_of},
};
use crate::{
    backup::{
        base64::BASE64, decryption::BackupDecryptionKey, entry::pack, ratchet::Ratchet, reader::RawEntry,
        session_id::SessionId,
    },
    blocking::blocking,
    crypto::{BackupTarget, CryptoError, RoomKeySource, SourcePage},
    homeserver::{Homeserver, HomeserverError, Retry},
    ids::VersionRowId,
    job::{JobEnd, StopSignal},
    vault::{Connection, CopyState, SharedWriter, Vault, VaultError, VersionRow},
};

/// What the upload of all pages works with.
pub(crate) struct Flush<'a> {
    pub(crate) homeserver: &'a Homeserver,
    pub(crate) source: &'a dyn RoomKeySource,
    pub(crate) stop: &'a StopSignal,
    pub(crate) vault: &'a Vault,
    /// Keeps the run from ending before a page has been looked at, if the future of the run is dropped.
    pub(crate) run: &'a SharedWriter,
    /// The version that is current, as far as is known.
    pub(crate) version: &'a VersionRow,
    /// Its decryption key, if that is known.
    pub(crate) key: Option<Arc<BackupDecryptionKey>>,
}

/// Uploads pages until the app's crypto has no more. Adds the number of keys that are in the backup now to `uploaded`.
pub(crate) async fn flush(flush: &Flush<'_>, uploaded: &mut u64) -> Result<(), SendEnd> {
    let mut last = None;
    while let Some(page) = flush.next_page().await? {
        if last.as_ref() == Some(&page.id) {
            return Err(refused("it returned a page again that it had marked"));
        }
        let keys = flush.upload(&page).await?;
        flush.wait_for_app(flush.source.mark_page(page.id.clone())).await?;
        *uploaded += keys;
        last = Some(page.id);
    }
    Ok(())
}

impl Flush<'_> {
    async fn next_page(&self) -> Result<Option<SourcePage>, SendEnd> {
        let target = BackupTarget {
            version: self.version.version.clone(),
            public_key: BASE64.encode(self.version.public_key.unwrap_or_default()),
        };
        self.wait_for_app(self.source.next_page(target)).await
    }

    /// Uploads a page, and returns the number of its keys.
    async fn upload(&self, page: &SourcePage) -> Result<u64, SendEnd> {
        let (vault, id, key) = (self.vault.clone(), self.version.id, self.key.clone());
        let rooms = page.rooms_json.clone();
        let run = self.run.clone();
        let prune = move || {
            let pruned = prune(&rooms, &vault, id, key.as_deref());
            drop(run);
            pruned
        };
        let pruned = blocking(prune).await.unwrap_or(Err(VaultError::Panicked))?;
        let Some(Pruned { body, keys }) = pruned else {
            return Err(refused("it returned a page that is no JSON of rooms"));
        };
        let Some(body) = body else { return Ok(keys) };
        let put = || self.homeserver.put_keys(&self.version.version, body.clone());
        let put = self.stop.unless_stopped(Retry::with_network(None).request(put)).await;
        match put.ok_or(SendEnd::Stopped)? {
            Ok(_) => Ok(keys),
            Err(given_up) => match given_up.error {
                HomeserverError::Forbidden | HomeserverError::NotFound | HomeserverError::Refused { .. } => {
                    self.explain(end_of(&given_up)).await
                }
                _ => Err(SendEnd::Job(end_of(&given_up))),
            },
        }
    }

    /// Finds out why the server has refused a page: servers say in several ways that a version is not the current one.
    async fn explain(&self, end: JobEnd) -> Result<u64, SendEnd> {
        let asked = Retry::with_network(None).request(|| self.homeserver.current_version());
        match self.stop.unless_stopped(asked).await.ok_or(SendEnd::Stopped)? {
            Ok(info) if info.version == self.version.version && info.public_key == self.version.public_key => {
                Err(SendEnd::Job(end))
            }
            Ok(_) => Err(SendEnd::NotCurrent),
            Err(given_up) if given_up.error == HomeserverError::NotFound => Err(SendEnd::NotCurrent),
            Err(given_up) => Err(SendEnd::Job(end_of(&given_up))),
        }
    }

    async fn wait_for_app<T>(&self, call: impl Future<Output = Result<T, CryptoError>>) -> Result<T, SendEnd> {
        let answer = self.stop.unless_stopped(call).await.ok_or(SendEnd::Stopped)?;
        answer.map_err(SendEnd::Crypto)
    }
}

/// The end of uploads because the app's crypto breaks its promises, so that the same would happen again.
fn refused(reason: &str) -> SendEnd {
    SendEnd::Crypto(CryptoError::Refused {
        reason: reason.to_owned(),
    })
}

/// Returns the page as it may be uploaded, and how many keys it had; `None` if it does not have the form of one. Blocks.
fn prune(
    rooms_json: &str,
    vault: &Vault,
    version: VersionRowId,
    key: Option<&BackupDecryptionKey>,
) -> Result<Option<Pruned>, VaultError> {
    let Some(mut page) = Page::parse(rooms_json) else {
        return Ok(None);
    };
    let keys = page.keys();
    if let Some(key) = key {
        let vault = vault.connect()?;
        page.leave_out(|room_id, session_id, entry| has_better(&vault, version, key, room_id, session_id, entry))?;
    }
    let body = page.body();
    Ok(Some(Pruned { body, keys }))
}

/// A page without the entries of which the backup has better copies.
struct Pruned {
    /// `None` if nothing is left to upload.
    body: Option<Vec<u8>>,
    /// All keys of the page.
    keys: u64,
}

/// Whether the vault knows a copy in this version that connects to the entry and begins as early.
fn has_better(
    vault: &Connection,
    version: VersionRowId,
    key: &BackupDecryptionKey,
    room_id: &str,
    session_id: &str,
    entry: &str,
) -> Result<bool, VaultError> {
    let session = SessionId::parse(session_id);
    let open = |body: &[u8]| {
        let opened = key.open(body, &session, &mut Zeroizing::default(), |opened| {
            (opened.first_known_index(), Zeroizing::new(opened.session().to_vec()))
        });
        opened.ok()
    };
    let mut packed = Vec::new();
    pack(RawEntry::Json(entry.as_bytes()), &mut packed);
    let Some((index, offered)) = open(&packed) else {
        // It is not for us to judge what the app's crypto has made.
        return Ok(false);
    };
    for copy in vault.copies(room_id, &session)? {
        let begins_as_early = matches!(copy.state, CopyState::Opened { first_index, .. } if first_index <= index);
        let is_here = copy.version == version && copy.room_hash == vault.room_hash(room_id);
        if !begins_as_early || !is_here {
            continue;
        }
        if let Some((_, known)) = open(&copy.body)
            && let Some(mut ratchet) = Ratchet::import(&known)
            && ratchet.at(index).is_some_and(|advanced| *advanced == *offered)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
