//! Creates the tables of a new vault, and upgrades those of an older one. `user_version` holds the version of the
//! schema. Each migration goes up by one version, and an upgrade makes all of them in one transaction.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    VaultError,
    schema::{self, PAGE_BYTES, SCHEMA_VERSION},
    seal::VaultKeys,
    session_index,
};

/// Creates the tables of a new vault.
pub(crate) fn create(connection: &mut Connection) -> Result<(), VaultError> {
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
    ))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    schema::create_tables(&transaction)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

/// Upgrades a vault from `version` to [`SCHEMA_VERSION`]. Leaves it unchanged if this fails.
pub(crate) fn upgrade(connection: &mut Connection, version: i64, keys: &VaultKeys) -> Result<(), VaultError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in version..SCHEMA_VERSION {
        upgrade_from(&transaction, step, keys)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

fn upgrade_from(transaction: &Transaction<'_>, version: i64, keys: &VaultKeys) -> Result<(), VaultError> {
    match version {
        1 => {
            transaction.execute_batch(include_str!("to_2.sql"))?;
            session_index::rebuild(transaction, keys)?;
            Ok(transaction.execute_batch(FROM_1_TO_2)?)
        }
        2 => Ok(transaction.execute_batch(include_str!("to_3.sql"))?),
        3 => {
            transaction.execute_batch(include_str!("to_4.sql"))?;
            session_index::upgrade(transaction)?;
            Ok(transaction.execute_batch("DROP TABLE session_index;")?)
        }
        other => unreachable!("no step begins at schema version {other}"),
    }
}

/// Adapts existing rows to schema 2. Opened entries have no fingerprint yet, so they are opened again. Nothing
/// proved that complete versions were complete, so the server is asked about them again; entries that are in the
/// vault are not fetched again.
const FROM_1_TO_2: &str = r"
    DELETE FROM opened WHERE failure = 0 AND EXISTS (SELECT 1 FROM entry WHERE id = opened.entry);
    UPDATE backup_version SET names = fetched, is_carried = 1, settled = 0, withheld = 0, conflicts = 0,
        opened = (SELECT count(*) FROM trimmed JOIN room ON room.id = trimmed.room WHERE room.version = backup_version.id);
    UPDATE job SET opened_through = 0, delivered_through = 0, trimmed_through = 0;
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EntryId;

    const SCHEMA_1: &str = include_str!("schema_1.sql");

    #[test]
    fn a_vault_of_the_first_schema_keeps_its_entries_and_finds_those_of_one_session() {
        let keys = VaultKeys::open([7; 16]);
        let mut connection = Connection::open_in_memory().expect("the database opens");
        connection.execute_batch(SCHEMA_1).expect("the first schema");
        let rooms = ["!a", "!b"].map(|room| keys.room_hash(room));
        connection
            .execute_batch(
                "INSERT INTO backup_version (id, version, algorithm, server_count, etag, complete, fetched, opened, conflicts)
                     VALUES (1, '1', '', 3, '3', 1, 3, 3, 2);
                 INSERT INTO entry (id, room, session, body)
                     VALUES (1, 1, x'01', x'aa'), (2, 2, x'01', x'bb'), (3, 2, x'02', x'cc');
                 INSERT INTO opened (entry, batch, failure) VALUES (1, 1, 0), (2, 1, 0), (3, 1, 3);
                 INSERT INTO conflict VALUES (1), (2);",
            )
            .expect("the rows are inserted");
        for (room, hash) in (1..).zip(rooms) {
            let sql = "INSERT INTO room (id, version, hash, sealed_id) VALUES (?1, 1, ?2, x'')";
            connection.execute(sql, (room, hash)).expect("the room is inserted");
        }
        upgrade(&mut connection, 1, &keys).expect("the upgrade succeeds");
        let count = |sql: &str| {
            connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .expect("the query returns a number")
        };
        assert_eq!(count("PRAGMA user_version"), SCHEMA_VERSION);
        assert_eq!(count("SELECT count(*) FROM entry"), 3, "no entry is fetched again");
        assert_eq!(
            count("SELECT count(*) FROM opened"),
            1,
            "opened entries are opened again, to get fingerprints"
        );
        assert_eq!(
            count("SELECT settled FROM backup_version"),
            0,
            "the server is asked again about a complete version"
        );
        assert_eq!(
            count("SELECT sum(entry) FROM copy"),
            3,
            "the first two entries have the same session"
        );
        let places = session_index::places(&connection, keys.name_hash(&[1], &rooms[0])).expect("the look-up succeeds");
        assert_eq!((places.of_name, places.elsewhere), (vec![EntryId(1)], vec![EntryId(2)]));
    }

    #[test]
    fn an_upgraded_vault_has_the_tables_of_a_new_one() {
        let mut new = Connection::open_in_memory().expect("the database opens");
        create(&mut new).expect("the tables are created");
        let mut upgraded = Connection::open_in_memory().expect("the database opens");
        upgraded.execute_batch(SCHEMA_1).expect("the first schema");
        upgrade(&mut upgraded, 1, &VaultKeys::open([7; 16])).expect("the upgrade succeeds");
        for sql in [
            "PRAGMA user_version",
            "SELECT schema, name, type, ncol, wr, strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
            "SELECT t.name, c.* FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c ORDER BY t.name, cid",
            "SELECT t.name, k.* FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS k ORDER BY t.name, id",
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type <> 'table' ORDER BY name",
            "SELECT * FROM job",
            "SELECT * FROM preference",
        ] {
            assert_eq!(rows(&new, sql), rows(&upgraded, sql), "{sql}");
        }
    }

    fn rows(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).expect("a statement");
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns)
                .map(|column| row.get_ref(column).map(|value| format!("{value:?}")))
                .collect::<Result<Vec<_>, _>>()
        });
        let rows = rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("rows");
        assert!(!rows.is_empty(), "{sql}");
        rows.into_iter().map(|row| row.join(" ")).collect()
    }
}
