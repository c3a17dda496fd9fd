//! Sorted runs of index entries, and how they are merged.
//!
//! A run is never changed. It is kept in parts of a page each, and the row of the run has the first hash of every part,
//! so that a look-up reads a page of each run. The level of a run follows from its size. As soon as there are
//! [`RUNS_OF_A_LEVEL`] runs of one level, they become one. While a million entries come in, they are in at most nine
//! runs, and each of them is written four times. Once everything has been fetched, [`merge_all`] makes one run of them.

use rusqlite::{Connection, Transaction, params};

use super::{MOST_RECENT, Pair, VaultError};
use crate::ids::EntryId;

/// Runs of one level that are merged into one of the next level.
const RUNS_OF_A_LEVEL: usize = 4;
/// Bytes of a pair: its hash and its entry.
const PAIR: usize = 16;
/// Pairs in a part: what fits into a page without another one.
const PAIRS_OF_A_PART: usize = 500;

/// Stores pairs, which are in ascending order, as a run. Merges it with others of its level.
pub(super) fn add(transaction: &Transaction<'_>, pairs: Vec<Pair>) -> Result<(), VaultError> {
    let merged = of_same_level(all_runs(transaction)?, pairs.len());
    merge_into_one(transaction, &merged, pairs)
}

/// Whether [`merge_all`] is worth its cost: the runs beside the largest one have grown to a third of it. A few new entries
/// do not rewrite the whole index.
pub(super) fn is_worth_merging(connection: &Connection) -> Result<bool, VaultError> {
    let pairs = all_runs(connection)?.into_iter().map(|run| run.pairs());
    let (mut largest, mut sum) = (0, 0);
    for pairs in pairs {
        largest = largest.max(pairs);
        sum += pairs;
    }
    Ok((sum - largest) * 3 >= largest && sum > 0)
}

/// Makes one run of all.
pub(super) fn merge_all(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    merge_into_one(transaction, &all_runs(transaction)?, Vec::new())
}

/// Calls `see` with the pairs whose hash is from `first` to `last`, as long as it returns true.
pub(super) fn between(
    connection: &Connection,
    first: i64,
    last: i64,
    mut see: impl FnMut(i64, EntryId) -> bool,
) -> Result<(), VaultError> {
    // As long as this statement is open, all others see the same state of the vault.
    let mut runs = connection.prepare_cached("SELECT first_part, fences FROM session_run")?;
    let mut part = connection.prepare_cached("SELECT pairs FROM session_part WHERE id = ?1")?;
    let mut runs = runs.query([])?;
    while let Some(run) = runs.next()? {
        let first_part: i64 = run.get(0)?;
        let fences = blob(run, 1)?.as_chunks().0;
        // The part before the first fence that is not below may end with such hashes.
        let begin = fences.partition_point(|fence| hash(fence) < first).saturating_sub(1);
        let parts = fences[begin..].iter().take_while(|fence| hash(fence) <= last).count();
        for number in (first_part + begin as i64..).take(parts) {
            let mut rows = part.query([number])?;
            let row = rows.next()?.ok_or(VaultError::Corrupt)?;
            let pairs = blob(row, 0)?.as_chunks().0;
            let begin = pairs.partition_point(|stored| pair(stored).0 < first);
            for (hash, entry) in pairs[begin..].iter().map(pair).take_while(|(hash, _)| *hash <= last) {
                if !see(hash, entry) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Calls `see` with every hash in a run.
pub(super) fn each(connection: &Connection, mut see: impl FnMut(i64)) -> Result<(), VaultError> {
    let mut parts = connection.prepare_cached("SELECT pairs FROM session_part")?;
    let mut rows = parts.query([])?;
    while let Some(row) = rows.next()? {
        for stored in blob(row, 0)?.as_chunks().0 {
            see(pair(stored).0);
        }
    }
    Ok(())
}

/// Makes a run of the tree that earlier schemas had, whatever its size.
pub(in crate::vault) fn upgrade(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    let mut pairs = transaction.prepare("SELECT hash, entry FROM session_index ORDER BY hash, entry")?;
    let mut rows = pairs.query([])?;
    let mut output = RunWriter::new(transaction)?;
    while let Some(row) = rows.next()? {
        output.push((row.get(0)?, row.get(1)?))?;
    }
    output.end()
}

/// A run, as it is read for a merge.
struct Run {
    id: i64,
    level: u32,
    parts: std::ops::Range<i64>,
}

impl Run {
    /// Returns how many pairs the run has at most.
    fn pairs(&self) -> usize {
        usize::try_from(self.parts.end - self.parts.start).unwrap_or(0) * PAIRS_OF_A_PART
    }
}

/// Returns the level of a run with so many pairs.
fn level(pairs: usize) -> u32 {
    (pairs / MOST_RECENT).max(1).ilog(RUNS_OF_A_LEVEL)
}

fn all_runs(connection: &Connection) -> Result<Vec<Run>, VaultError> {
    let mut runs =
        connection.prepare_cached("SELECT id, level, first_part, first_part + length(fences) / 8 FROM session_run")?;
    let runs = runs.query_map([], |row| {
        Ok(Run {
            id: row.get(0)?,
            level: row.get(1)?,
            parts: row.get(2)?..row.get(3)?,
        })
    })?;
    Ok(runs.collect::<Result<_, _>>()?)
}

/// Returns those of all runs that are merged with a new one of so many pairs.
fn of_same_level(mut all: Vec<Run>, mut pairs: usize) -> Vec<Run> {
    let mut taken = Vec::new();
    for at in 0.. {
        let of_level = all.iter().filter(|run| run.level == at).count();
        if level(pairs) < at || of_level + 1 < RUNS_OF_A_LEVEL {
            break;
        }
        for run in all.extract_if(.., |run| run.level == at) {
            pairs += run.pairs();
            taken.push(run);
        }
    }
    taken
}

/// Replaces the runs by one, which also has the new pairs.
fn merge_into_one(transaction: &Transaction<'_>, merged: &[Run], new: Vec<Pair>) -> Result<(), VaultError> {
    let mut output = RunWriter::new(transaction)?;
    merge(transaction, merged, new, &mut output)?;
    output.end()?;
    for run in merged {
        transaction
            .prepare_cached("DELETE FROM session_part WHERE id BETWEEN ?1 AND ?2")?
            .execute(params![run.parts.start, run.parts.end - 1])?;
        transaction
            .prepare_cached("DELETE FROM session_run WHERE id = ?1")?
            .execute([run.id])?;
    }
    Ok(())
}

/// Passes the pairs of the runs and the new ones on, in ascending order.
fn merge(
    transaction: &Transaction<'_>,
    runs: &[Run],
    new: Vec<Pair>,
    output: &mut RunWriter<'_>,
) -> Result<(), VaultError> {
    let mut sources = vec![Source {
        part: new,
        ..Source::default()
    }];
    for run in runs {
        let mut source = Source {
            parts: run.parts.clone(),
            ..Source::default()
        };
        source.read_part(transaction)?;
        sources.push(source);
    }
    // There are a few sources at most: looking at all of them is as fast as a heap.
    loop {
        sources.retain(|source| source.peek().is_some());
        let Some(lowest) = (0..sources.len()).min_by_key(|source| sources[*source].peek()) else {
            return Ok(());
        };
        let bound = (0..sources.len())
            .filter(|source| *source != lowest)
            .filter_map(|source| sources[source].peek());
        let bound = bound.min();
        let source = &mut sources[lowest];
        // Hashes of different runs alternate at random, so only short stretches come from one source.
        while let Some(pair) = source.peek().filter(|pair| bound.is_none_or(|bound| *pair <= bound)) {
            output.push(pair)?;
            source.position += 1;
            if source.position == source.part.len() {
                source.read_part(transaction)?;
                break;
            }
        }
    }
}

/// Pairs in ascending order that are merged.
#[derive(Default)]
struct Source {
    part: Vec<Pair>,
    position: usize,
    /// Parts that follow.
    parts: std::ops::Range<i64>,
}

impl Source {
    fn peek(&self) -> Option<Pair> {
        self.part.get(self.position).copied()
    }

    /// Reads the next part; at the end there are no pairs.
    fn read_part(&mut self, transaction: &Transaction<'_>) -> Result<(), VaultError> {
        self.part.clear();
        self.position = 0;
        if let Some(number) = self.parts.next() {
            let mut part = transaction.prepare_cached("SELECT pairs FROM session_part WHERE id = ?1")?;
            let mut rows = part.query([number])?;
            let row = rows.next()?.ok_or(VaultError::Corrupt)?;
            self.part.extend(blob(row, 0)?.as_chunks().0.iter().map(pair));
        }
        Ok(())
    }
}

/// Writes one run.
struct RunWriter<'a> {
    transaction: &'a Transaction<'a>,
    first_part: i64,
    next_part: i64,
    part: Vec<u8>,
    fences: Vec<u8>,
}

impl<'a> RunWriter<'a> {
    fn new(transaction: &'a Transaction<'_>) -> Result<Self, VaultError> {
        let next = transaction
            .prepare_cached("SELECT 1 + ifnull(max(id), 0) FROM session_part")?
            .query_row([], |row| row.get(0))?;
        Ok(Self {
            transaction,
            first_part: next,
            next_part: next,
            part: Vec::with_capacity(PAIRS_OF_A_PART * PAIR),
            fences: Vec::new(),
        })
    }

    fn push(&mut self, (hash, entry): Pair) -> Result<(), VaultError> {
        if self.part.is_empty() {
            self.fences.extend(hash.to_le_bytes());
        }
        self.part.extend(hash.to_le_bytes());
        self.part.extend(entry.0.to_le_bytes());
        match self.part.len() >= PAIRS_OF_A_PART * PAIR {
            true => self.end_part(),
            false => Ok(()),
        }
    }

    fn end_part(&mut self) -> Result<(), VaultError> {
        self.transaction
            .prepare_cached("INSERT INTO session_part (id, pairs) VALUES (?1, ?2)")?
            .execute(params![self.next_part, self.part])?;
        self.next_part += 1;
        self.part.clear();
        Ok(())
    }

    /// Ends the run. Without a pair, there is none.
    fn end(mut self) -> Result<(), VaultError> {
        let whole = usize::try_from(self.next_part - self.first_part).unwrap_or(0);
        let level = level(whole * PAIRS_OF_A_PART + self.part.len() / PAIR);
        if !self.part.is_empty() {
            self.end_part()?;
        }
        if self.fences.is_empty() {
            return Ok(());
        }
        self.transaction
            .prepare_cached("INSERT INTO session_run (level, first_part, fences) VALUES (?1, ?2, ?3)")?
            .execute(params![level, self.first_part, self.fences])?;
        Ok(())
    }
}

fn blob<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<&'a [u8], VaultError> {
    Ok(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)
}

fn hash(fence: &[u8; 8]) -> i64 {
    i64::from_le_bytes(*fence)
}

fn pair(stored: &[u8; PAIR]) -> Pair {
    let (hash, entry) = stored.split_at(PAIR / 2);
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    (number(hash), EntryId(number(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::migrations;

    const PAIRS: i64 = MOST_RECENT as i64;

    /// Returns pairs whose hashes are spread over all numbers. Every tenth hash is 7.
    fn pairs(run: i64) -> Vec<Pair> {
        let hash = |number: i64| match number % 10 {
            0 => 7,
            _ => number.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()),
        };
        let mut pairs: Vec<_> = (run * PAIRS..(run + 1) * PAIRS)
            .map(|number| (hash(number), EntryId(number)))
            .collect();
        pairs.sort_unstable();
        pairs
    }

    fn found(connection: &Connection, first: i64, last: i64) -> Vec<Pair> {
        let mut found = Vec::new();
        let see = |hash, entry| {
            found.push((hash, entry));
            true
        };
        between(connection, first, last, see).expect("the look-up succeeds");
        found.sort_unstable();
        found
    }

    fn levels(connection: &Connection) -> Vec<u32> {
        let runs = all_runs(connection).expect("the runs");
        runs.iter().map(|run| run.level).collect()
    }

    #[test]
    fn runs_are_merged_and_keep_every_pair() {
        const RUNS: i64 = 9;
        let mut connection = Connection::open_in_memory().expect("the database opens");
        migrations::create(&mut connection).expect("the tables are created");
        let transaction = connection.transaction().expect("the transaction begins");
        let mut all = Vec::new();
        let holds = |all: &[Pair]| {
            for &(hash, entry) in all.iter().step_by(9_973) {
                assert!(found(&transaction, hash, hash).contains(&(hash, entry)), "{hash}");
            }
            let some = all[all.len() / 3].0..=all[all.len() / 2].0;
            let expected: Vec<_> = all.iter().copied().filter(|(hash, _)| some.contains(hash)).collect();
            assert_eq!(found(&transaction, *some.start(), *some.end()), expected);
            let mut count = 0;
            each(&transaction, |_| count += 1).expect("all are read");
            assert_eq!(count, all.len());
            let parts: usize = transaction
                .query_row("SELECT count(*) FROM session_part", [], |row| row.get(0))
                .expect("a number");
            let least = all.len() / PAIRS_OF_A_PART;
            assert!(
                (least..least + 4).contains(&parts),
                "nothing is left of merged runs: {parts}"
            );
        };
        for run in 0..RUNS {
            add(&transaction, pairs(run)).expect("the run is written");
            all.extend(pairs(run));
            all.sort_unstable();
            holds(&all);
        }
        assert_eq!(levels(&transaction), [1, 1, 0]);
        assert!(is_worth_merging(&transaction).expect("an answer"));
        merge_all(&transaction).expect("the runs are merged");
        holds(&all);
        assert_eq!(levels(&transaction), [1]);
        // Few pairs stay beside the large run, however many runs they come in.
        for few in pairs(RUNS).chunks(50).take(10) {
            assert!(!is_worth_merging(&transaction).expect("an answer"));
            add(&transaction, few.to_vec()).expect("the run is written");
            all.extend(few);
            all.sort_unstable();
            holds(&all);
        }
        assert_eq!(levels(&transaction), [1, 0]);
    }

    #[test]
    fn a_look_up_ends_when_it_has_enough() {
        let mut connection = Connection::open_in_memory().expect("the database opens");
        migrations::create(&mut connection).expect("the tables are created");
        let transaction = connection.transaction().expect("the transaction begins");
        add(&transaction, pairs(0)).expect("the run is written");
        let mut seen = 0;
        let see = |hash, _| {
            assert_eq!(hash, 7);
            seen += 1;
            seen < 64
        };
        between(&transaction, 7, 7, see).expect("the look-up succeeds");
        assert_eq!(seen, 64);
        assert_eq!(found(&transaction, 7, 7).len() as i64, PAIRS / 10);
        assert_eq!(found(&transaction, 8, 8), []);
    }
}
