//! Conversion of row ids, eras and generations to SQLite integers and back.

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::ids::{BatchId, EntryId, Era, Generation, RoomRowId, VersionRowId};

macro_rules! as_integer {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }
    )*};
}

as_integer!(EntryId, VersionRowId, RoomRowId, Era, BatchId, Generation);
