//! From the vault to uploads: goes through all entries in the order of arrival, and encrypts those that a backup
//! version lacks to its key. Blocks.

use std::{collections::VecDeque, num::NonZeroUsize, thread};

use zeroize::Zeroizing;

use super::batch::Batch;
use crate::{
    backup::{
        BackupOrigin,
        copies::{may_be_shared, to_send},
        encryption::{BackupEncryptionKey, OutgoingEntry},
        ratchet::Ratchet,
    },
    decryption_keys::DecryptionKeys,
    ids::{EntryId, VersionRowId},
    job::StopSignal,
    vault::{Connection, ListedEntry, SharedWriter, StoredCopy, StoredEntry, Vault, VaultError, room_number},
};

/// Entries in memory at a time.
const PAGE: usize = 512;
/// Pages without anything to send after which the place is stored all the same.
const MOST_EMPTY_PAGES: usize = 16;
/// The most threads that encrypt.
const MOST_THREADS: usize = 4;

/// Reads the vault and makes uploads for one backup version.
pub(crate) struct Outbox {
    connection: Connection,
    keys: DecryptionKeys,
    encryption: BackupEncryptionKey,
    version: VersionRowId,
    /// The last entry that is in an upload already, or needs none.
    after: EntryId,
    /// Entries of the page that was read last, which are in no upload yet.
    ready: VecDeque<Ready>,
    /// The last entry of the page that was read last.
    read_through: EntryId,
    /// Keeps the run from ending before the connection is closed, if the future of the run is dropped.
    _run: SharedWriter,
}

/// An upload, and the entries that it covers.
pub(crate) struct OutgoingBatch {
    pub(crate) batch: Batch,
    /// The entry after which it begins.
    pub(crate) from: EntryId,
    /// The last entry that it covers. All before it are in this upload or in an earlier one, or need none.
    pub(crate) through: EntryId,
    /// Whether no entry is left after `through`.
    pub(crate) is_last: bool,
}

/// An entry that has to be sent, with what the vault knows of it.
struct Chosen {
    /// The entry at which this was decided.
    visited: EntryId,
    entry: StoredEntry,
    forwarded_count: u32,
    shared_history: bool,
    /// Whether the version has no entry of this name.
    is_new: bool,
}

/// An entry, encrypted to the key of the version.
struct Ready {
    visited: EntryId,
    room_id: String,
    session_id: String,
    entry: OutgoingEntry,
    is_new: bool,
}

impl Outbox {
    /// Begins after the entry `after`. `public_key` is that of the version.
    pub(crate) fn open(
        vault: &Vault,
        keys: &DecryptionKeys,
        version: VersionRowId,
        public_key: [u8; 32],
        after: EntryId,
        run: SharedWriter,
    ) -> Result<Self, VaultError> {
        let connection = vault.connect()?;
        Ok(Self {
            keys: keys.snapshot(&connection)?,
            connection,
            encryption: BackupEncryptionKey::new(public_key),
            version,
            after,
            ready: VecDeque::new(),
            read_through: after,
            _run: run,
        })
    }

    /// Begins again after an entry.
    pub(crate) fn rewind(&mut self, after: EntryId) {
        self.ready.clear();
        (self.after, self.read_through) = (after, after);
    }

    /// Returns the next upload of about `most_bytes` bytes. It is empty where nothing has to be sent: at the end, after
    /// many entries that need not be, and after a stop.
    pub(crate) fn next_batch(&mut self, most_bytes: usize, stop: &StopSignal) -> Result<OutgoingBatch, VaultError> {
        let from = self.after;
        let mut batch = Batch::default();
        let mut pages = 0;
        loop {
            while let Some(next) = self.ready.front() {
                if !batch.is_empty() && batch.bytes() + next.entry.bytes() > most_bytes {
                    return Ok(self.finish(batch, from, false));
                }
                let next = self.ready.pop_front().expect("it has a first one");
                batch.push(&next.room_id, next.session_id, next.entry, next.is_new);
                self.after = next.visited;
            }
            self.after = self.read_through;
            let has_gone_far = batch.is_empty() && pages >= MOST_EMPTY_PAGES;
            if stop.winds_down() || has_gone_far {
                return Ok(self.finish(batch, from, false));
            }
            pages += 1;
            if !self.read_on()? {
                return Ok(self.finish(batch, from, true));
            }
        }
    }

    /// Returns the upload that covers the entries up to this one, whatever its size.
    pub(crate) fn batch_through(&mut self, through: EntryId, stop: &StopSignal) -> Result<OutgoingBatch, VaultError> {
        let from = self.after;
        let mut batch = Batch::default();
        while self.after < through && !stop.winds_down() {
            while let Some(next) = self.ready.pop_front_if(|next| next.visited <= through) {
                batch.push(&next.room_id, next.session_id, next.entry, next.is_new);
            }
            self.after = self.read_through.min(through);
            if self.after < through && !self.read_on()? {
                break;
            }
        }
        Ok(self.finish(batch, from, false))
    }

    fn finish(&self, batch: Batch, from: EntryId, is_last: bool) -> OutgoingBatch {
        OutgoingBatch {
            batch,
            from,
            through: self.after,
            is_last,
        }
    }

    /// Reads the next page. Returns false if there is none.
    fn read_on(&mut self) -> Result<bool, VaultError> {
        let page = self.connection.all_entries(self.read_through, PAGE)?;
        let Some(last) = page.last() else { return Ok(false) };
        self.read_through = last.entry.id;
        let mut chosen = Vec::with_capacity(page.len());
        for listed in page {
            chosen.extend(self.choose(listed)?);
        }
        self.ready = self.encrypt_all(&chosen).into();
        Ok(true)
    }

    /// Decides whether the key of an entry has to be sent, and which copy of it. A key with several copies in a room is
    /// decided about once, at the first of them.
    fn choose(&self, listed: ListedEntry) -> Result<Option<Chosen>, VaultError> {
        let ListedEntry {
            entry,
            has_copies,
            forwarded_count,
        } = listed;
        let was_there = entry.version == self.version;
        if was_there && self.connection.is_served(entry.id)? {
            return Ok(None);
        }
        let chosen = Chosen {
            visited: entry.id,
            forwarded_count: forwarded_count.unwrap_or(0),
            shared_history: false,
            is_new: !was_there,
            entry,
        };
        match has_copies {
            true => self.choose_copy(chosen),
            false => Ok(Some(chosen)),
        }
    }

    fn choose_copy(&self, first: Chosen) -> Result<Option<Chosen>, VaultError> {
        let room_hash = self.connection.room_hash(&first.entry.room_id);
        let mut copies = self.connection.copies_of_entry(first.visited)?;
        copies.retain(|copy| copy.room_hash == room_hash);
        if copies.iter().any(|copy| copy.entry < first.visited) {
            return Ok(None);
        }
        let mut served = Vec::new();
        for copy in copies.iter().filter(|copy| copy.version == self.version) {
            if self.connection.is_served(copy.entry)? {
                served.push(copy.entry);
            }
        }
        let room = room_number(&room_hash);
        let facts: Vec<_> = copies.iter().filter_map(StoredCopy::facts).collect();
        let Some(position) = to_send(&facts, room, |copy| served.contains(&copy.entry)) else {
            return Ok(None);
        };
        let best = copies.iter().position(|copy| copy.entry == facts[position].entry);
        let best = copies.swap_remove(best.ok_or(VaultError::Corrupt)?);
        Ok(Some(Chosen {
            forwarded_count: self.connection.forwarded_count(best.entry)?.unwrap_or(0),
            shared_history: may_be_shared(&facts, room, facts[position].class),
            is_new: best.version != self.version && copies.iter().all(|copy| copy.version != self.version),
            entry: StoredEntry {
                id: best.entry,
                version: best.version,
                body: best.body,
                ..first.entry
            },
            ..first
        }))
    }

    /// Opens entries and encrypts them again, on several threads. Entries that cannot be opened are left out.
    fn encrypt_all(&self, chosen: &[Chosen]) -> Vec<Ready> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let share = chosen.len().div_ceil(threads.min(MOST_THREADS)).max(1);
        // The connection stays on this thread.
        let (keys, encryption) = (&self.keys, &self.encryption);
        thread::scope(|scope| {
            let shares: Vec<_> = chosen
                .chunks(share)
                .map(|share| scope.spawn(move || encrypt(share, keys, encryption)))
                .collect();
            let ready = shares
                .into_iter()
                .flat_map(|share| share.join().expect("it does not panic"));
            ready.collect()
        })
    }
}

fn encrypt(chosen: &[Chosen], keys: &DecryptionKeys, encryption: &BackupEncryptionKey) -> Vec<Ready> {
    let origin = BackupOrigin::of("", &[]);
    let (mut opened_entry, mut plain) = (Zeroizing::default(), Vec::new());
    let mut ready = Vec::with_capacity(chosen.len());
    for Chosen {
        visited,
        entry,
        forwarded_count,
        shared_history,
        is_new,
    } in chosen
    {
        let Some(key) = keys.get(entry.version) else { continue };
        let opened = key.open(&entry.body, &entry.session, &mut opened_entry, |opened| {
            Ratchet::import(opened.session()).map(|_| opened.room_key(&entry.room_id, &origin))
        });
        let Ok(Some(mut room_key)) = opened else { continue };
        room_key.shared_history |= *shared_history;
        let Some(outgoing) = encryption.encrypt(&room_key, *forwarded_count, &mut plain) else {
            continue;
        };
        ready.push(Ready {
            visited: *visited,
            room_id: room_key.room_id,
            session_id: room_key.session_id,
            entry: outgoing,
            is_new: *is_new,
        });
    }
    ready
}
