//! The writing end of fetching: parses chunks into entries, collects entries in batches, and writes batches to the
//! vault.
//!
//! One thread does this for all requests for a version, so that many small rooms share a transaction.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc};

use super::ingest_message::{IngestError, Message, Source};
use crate::{
    backup::{
        entry,
        reader::{BackupReader, EntryVisitor, RawEntry, ReadError},
        session_id::SessionId,
    },
    download::phase::PhaseContext,
    ids::{EntryId, Era, VersionRowId},
    job::{PauseCause, StopCause},
    vault::{EntryBatch, FilePlace, Known, KnownEntries, KnownRoom, VaultError, Writer},
};

/// Entries per transaction. Until then their bodies are in memory: more than a megabyte.
const BATCH_ENTRIES: usize = 2_000;
/// Entries in the first transaction, so that the cores soon have something to open. Later ones grow with the number
/// of keys.
const FIRST_BATCH_ENTRIES: usize = 125;
/// Bytes per transaction, for entries that are larger than usual.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are parsed between two checks of the batch: a thousand of the smallest entries.
const PART_BYTES: usize = 32 * 1024;
/// How long an entry waits for others to share its transaction.
const BATCH_AGE: Duration = Duration::from_millis(250);
/// The thread that writes, with everything it works with.
pub(crate) struct IngestWorker {
    pub(crate) phase: PhaseContext,
    pub(crate) version: VersionRowId,
    /// The era of the version that is being fetched.
    pub(crate) era: Era,
    /// The last entry before the era, if the vault already has entries of this version, which need not be written
    /// again. `None` if every entry must be read.
    pub(crate) known_since: Option<EntryId>,
    pub(crate) runtime: Handle,
}

struct Response {
    /// Distinguishes the answer from others.
    number: u64,
    reader: BackupReader,
    room_id: Option<String>,
    /// The room that the next entries belong to.
    current_room: String,
    /// What the vault knows of that room; `None` until it is looked up.
    known_room: Option<KnownRoom>,
    /// The name of the file that the response is read from, if any.
    file: Option<String>,
    /// The era in which it was requested.
    era: Era,
    result: Result<(), ReadError>,
    broken: Arc<AtomicBool>,
}

impl IngestWorker {
    pub(super) fn work(self, mut messages: mpsc::Receiver<Message>) -> Result<(), VaultError> {
        let last = self.phase.context.vault.connect()?.last_entry()?;
        let known = match self.known_since {
            Some(era_began) => Some(KnownEntries::new(self.phase.context.vault.connect()?, era_began)?),
            None => None,
        };
        let mut responses = HashMap::new();
        let mut batch = EntryBatch::compared_through(last);
        let mut batch_began = Instant::now();
        loop {
            let wait = BATCH_AGE.saturating_sub(batch_began.elapsed());
            let message = if batch.is_empty() {
                messages.blocking_recv()
            } else if wait.is_zero() {
                self.commit(&mut batch)?;
                continue;
            } else {
                match self
                    .runtime
                    .block_on(async { tokio::time::timeout(wait, messages.recv()).await })
                {
                    Ok(message) => message,
                    Err(_) => continue,
                }
            };
            let Some(message) = message else { break };
            if batch.is_empty() {
                batch_began = Instant::now();
            }
            self.take(message, &mut responses, &mut batch, known.as_ref())?;
        }
        // Every whole entry that arrived is kept, even if the run was stopped.
        self.commit(&mut batch)?;
        // Done now, while entries are being opened, so that less is left for the end of the run.
        self.phase.writer.fold_log();
        Ok(())
    }

    fn take(
        &self,
        message: Message,
        responses: &mut HashMap<u64, Response>,
        batch: &mut EntryBatch,
        known: Option<&KnownEntries>,
    ) -> Result<(), VaultError> {
        match message {
            Message::Begin {
                request,
                source,
                broken,
            } => {
                responses.insert(request, Response::new(request, source, self.era, broken));
            }
            Message::Abandon { request } => {
                responses.remove(&request);
                batch.end_answer(request);
            }
            Message::Chunk { request, bytes } => {
                if let Some(response) = responses.get_mut(&request)
                    && response.result.is_ok()
                {
                    // A chunk may hold more than a batch.
                    for part in bytes.chunks(PART_BYTES) {
                        self.read(response, part, batch, known)?;
                        if response.result.is_err() {
                            break;
                        }
                        response.note_place(batch);
                        if batch.len() >= self.batch_entries() || batch.bodies.len() >= BATCH_BYTES {
                            self.commit(batch)?;
                        }
                    }
                }
            }
            Message::End { request, reply } => {
                let result = match responses.remove(&request) {
                    Some(response) => response.end(batch),
                    None => Err(IngestError::Closed),
                };
                batch.end_answer(request);
                // A sender that is gone needs no answer.
                let _ = reply.send(result);
            }
            Message::Flush { reply } => {
                self.commit(batch)?;
                // A sender that is gone needs no answer.
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    fn read(
        &self,
        response: &mut Response,
        chunk: &[u8],
        batch: &mut EntryBatch,
        known: Option<&KnownEntries>,
    ) -> Result<(), VaultError> {
        let Response {
            number,
            reader,
            current_room,
            known_room,
            result,
            broken,
            ..
        } = response;
        let mut visitor = BatchVisitor {
            batch,
            answer: *number,
            current_room,
            known_room,
            known,
            version: self.version,
            failure: None,
        };
        *result = reader.push(chunk, &mut visitor);
        let failure = visitor.failure;
        if result.is_err() {
            // Relaxed: a sender that sees it late sends one useless chunk.
            broken.store(true, Ordering::Relaxed);
        }
        failure.map_or(Ok(()), Err)
    }

    fn batch_entries(&self) -> usize {
        let fetched = self.phase.download.progress.fetched();
        usize::try_from(fetched)
            .unwrap_or(BATCH_ENTRIES)
            .clamp(FIRST_BATCH_ENTRIES, BATCH_ENTRIES)
    }

    fn commit(&self, batch: &mut EntryBatch) -> Result<(), VaultError> {
        if batch.is_empty() {
            return Ok(());
        }
        let progress = &self.phase.download.progress;
        let commit = |writer: &mut Writer| {
            writer.insert_entries(self.version, batch)?;
            progress.follow(writer.reader())?;
            self.phase.policy.conditions().is_vault_full(writer.reader())
        };
        let is_full = self
            .phase
            .writer
            .with(commit)
            .inspect_err(|_| self.phase.stop.stop(StopCause::Abandoned))?;
        if is_full {
            // This ends the phase, and the next one does not fetch.
            self.phase.run.gate.hold(PauseCause::DiskLimit);
        }
        progress.add_rooms_done(batch.complete_rooms() as u64);
        batch.clear();
        self.phase.run.wake.notify();
        Ok(())
    }
}

impl Response {
    fn new(number: u64, source: Source, mut era: Era, broken: Arc<AtomicBool>) -> Self {
        let Source { room_id, file, place } = source;
        let mut reader = if room_id.is_some() {
            BackupReader::one_room()
        } else {
            BackupReader::all_rooms()
        };
        let mut current_room = room_id.clone().unwrap_or_default();
        if let Some((place, asked_in)) = place {
            era = asked_in;
            if place.offset > 0 {
                reader = reader.resumed_at(place.offset);
                current_room = place.room_id;
            }
        }
        Self {
            number,
            reader,
            current_room,
            known_room: None,
            file,
            era,
            room_id,
            result: Ok(()),
            broken,
        }
    }

    /// Notes how far the file has been read. Every entry before that place is in this batch or in an earlier one.
    fn note_place(&self, batch: &mut EntryBatch) {
        if let (Some(name), Some(offset)) = (&self.file, self.reader.place()) {
            batch.file_places.retain(|place| place.name != *name);
            batch.file_places.push(FilePlace {
                name: name.clone(),
                offset,
                room_id: self.current_room.clone(),
            });
        }
    }

    fn end(self, batch: &mut EntryBatch) -> Result<(), IngestError> {
        self.result?;
        self.reader.finish()?;
        if let Some(room_id) = self.room_id {
            batch.complete_room(&room_id, self.era);
        }
        Ok(())
    }
}

struct BatchVisitor<'a> {
    batch: &'a mut EntryBatch,
    answer: u64,
    current_room: &'a mut String,
    known_room: &'a mut Option<KnownRoom>,
    known: Option<&'a KnownEntries>,
    version: VersionRowId,
    failure: Option<VaultError>,
}

impl BatchVisitor<'_> {
    fn known(&mut self, known: &KnownEntries, session: &SessionId) -> Result<Known, VaultError> {
        let room = match self.known_room {
            Some(room) => room,
            None => self.known_room.insert(known.room(self.version, self.current_room)?),
        };
        known.has(room, session)
    }
}

impl EntryVisitor for BatchVisitor<'_> {
    fn room(&mut self, room_id: &str) {
        room_id.clone_into(self.current_room);
        *self.known_room = None;
    }

    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>) {
        let session = SessionId::parse(session_id);
        if let Some(known) = self.known {
            match self.known(known, &session) {
                Ok(Known::Yes) => return,
                Ok(Known::No | Known::MayBeBetter) => {}
                Err(error) => self.failure = Some(error),
            }
        }
        self.batch
            .push(self.answer, self.current_room, session, |body| entry::pack(entry, body));
    }
}
