//! Writes the whole backup into a file: two threads encrypt, one writes in order.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    process,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use crate::{
    Truth,
    entry::{EntryWriter, GROUP},
    store::{self, BLOCK, Index},
};

const THREADS: u64 = 2;
const _: () = assert!(BLOCK.is_multiple_of(GROUP), "threads must not share a group");

/// The part of the document that holds the entries of one block.
struct Block {
    bytes: Vec<u8>,
    starts: Vec<u32>,
    lengths: Vec<u16>,
    hashes: Vec<u32>,
}

/// Writes the document and returns its file and its index.
pub(crate) fn document(truth: &Truth, seed: u64, backup_public_key: [u8; 32]) -> io::Result<(File, Index)> {
    let mut file = nameless_file()?;
    let mut index = Index::default();
    file.write_all(br#"{"rooms":{"#)?;
    let mut length = br#"{"rooms":{"#.len() as u64;

    thread::scope(|scope| -> io::Result<()> {
        let receivers: Vec<Receiver<Block>> = (0..THREADS)
            .map(|first| {
                let (sender, receiver) = sync_channel(2);
                scope.spawn(move || {
                    let writer = EntryWriter::new(truth, seed, backup_public_key);
                    write_blocks(truth, writer, first, &sender);
                });
                receiver
            })
            .collect();
        // The threads take turns. Each one hangs up after its last block, so the first that is missing marks the end.
        for receiver in receivers.iter().cycle() {
            let Ok(block) = receiver.recv() else { break };
            file.write_all(&block.bytes)?;
            index.bases.push(length);
            length += block.bytes.len() as u64;
            let first = index.starts.len();
            for (position, hash) in (first..).zip(&block.hashes) {
                let position = u32::try_from(position).expect("fewer than 2^32 keys");
                index.by_session.push((*hash, position));
            }
            index.starts.extend_from_slice(&block.starts);
            index.lengths.extend_from_slice(&block.lengths);
        }
        Ok(())
    })?;

    file.write_all(b"}}")?;
    Ok((file, index))
}

/// Creates a file and removes its name at once, so that it disappears with the process, however that ends.
pub(crate) fn nameless_file() -> io::Result<File> {
    // Relaxed is enough: only the numbers must differ.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = std::env::temp_dir().join(format!(
        "keyferry-test-homeserver-{}-{}",
        process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn write_blocks(truth: &Truth, mut writer: EntryWriter<'_>, first: u64, out: &SyncSender<Block>) {
    let mut start = first * BLOCK;
    while start < truth.len() {
        let end = truth.len().min(start + BLOCK);
        if out.send(write_block(truth, &mut writer, start, end)).is_err() {
            return;
        }
        start += THREADS * BLOCK;
    }
}

fn write_block(truth: &Truth, writer: &mut EntryWriter<'_>, start: u64, end: u64) -> Block {
    let mut block = Block {
        bytes: Vec::with_capacity(1 << 20),
        starts: Vec::new(),
        lengths: Vec::new(),
        hashes: Vec::new(),
    };
    let mut room = truth.room_of(start);
    let mut range = truth.room_range(room);
    for index in start..end {
        if index >= range.end {
            room = truth.room_of(index);
            range = truth.room_range(room);
        }
        if index > 0 {
            block.bytes.push(b',');
        }
        if index == range.start {
            let head = store::room_head(&truth.room_id(room));
            block.bytes.extend_from_slice(head.as_bytes());
        }
        let begin = block.bytes.len();
        let session_id = writer.write(index, &mut block.bytes);
        let length = block.bytes.len() - begin;
        block
            .starts
            .push(u32::try_from(begin).expect("a block has about one megabyte"));
        block
            .lengths
            .push(u16::try_from(length).expect("an entry has about 900 bytes"));
        block.hashes.push(store::hash(&session_id));
        if index + 1 == range.end {
            block.bytes.extend_from_slice(b"}}");
        }
    }
    block
}
