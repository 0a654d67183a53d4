use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use crate::StoreError;

/// A row that came back.
#[derive(Debug)]
pub struct Row(pub(super) Of);

#[derive(Debug)]
pub(super) enum Of {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of the column `name`.
    ///
    /// # Errors
    /// If there is no such column, or it holds another type.
    pub fn get<T>(&self, name: &'static str) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let value = match &self.0 {
            Of::Sqlite(row) => row.try_get(name),
            Of::Postgres(row) => row.try_get(name),
        };
        value.map_err(|source| StoreError::Database { doing: "read a column", source })
    }
}
