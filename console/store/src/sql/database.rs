use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use super::row::{Of, Row};
use super::statement::Statement;
use crate::{StoreError, migrations};

/// How long a statement waits for another writer, or for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that read a SQLite file.
const READERS: u32 = 4;
/// Connections to PostgreSQL, of each console.
const CONNECTIONS: u32 = 16;

/// Where everything is kept. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Database(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// SQLite has one writer at a time; whoever only reads does not wait for it.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// Statements that take effect together, or not at all. Dropped, they do not.
#[derive(Debug)]
pub struct Transaction(Open);

#[derive(Debug)]
enum Open {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Runs a statement with one driver; rows are wrapped by `$of`.
macro_rules! run {
    ($driver:ty, $statement:expr, $how:ident, $on:expr) => {{
        let arguments = $statement.arguments::<$driver>().map_err(sqlx::Error::Encode);
        match arguments {
            Ok(arguments) => sqlx::query_with::<$driver, _>(AssertSqlSafe($statement.sql()), arguments).$how($on).await,
            Err(error) => Err(error),
        }
    }};
}

impl Database {
    /// Opens the file at `path`, makes it if there is none, and brings its
    /// tables to this version's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { doing: "open the database's file", source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered must outlive a power failure.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
        let writer = writer.connect_with(options.clone()).await.map_err(failed)?;
        migrations::sqlite().run(&writer).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(PATIENCE);
        let readers = readers.connect_with(options.read_only(true)).await.map_err(failed)?;
        Ok(Self(Kind::Sqlite { writer, readers }))
    }

    /// Connects to `postgres://USER@HOST/NAME`, and brings the tables there to
    /// this version's; of several consoles that do so at once, one does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn postgres(address: &str) -> Result<Self, StoreError> {
        let shown = || address.split_once('@').map_or(address, |(_, place)| place).to_owned();
        let options = PgConnectOptions::from_str(address).map_err(|_| StoreError::Address { address: shown() })?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await;
        let pool = pool.map_err(|source| StoreError::Database { doing: "reach PostgreSQL", source })?;
        migrations::postgres().run(&pool).await?;
        Ok(Self(Kind::Postgres(pool)))
    }

    /// Whether it is one file.
    #[must_use]
    pub const fn is_sqlite(&self) -> bool {
        matches!(self.0, Kind::Sqlite { .. })
    }

    /// Rows that are there. The statement changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        let rows = match &self.0 {
            Kind::Sqlite { readers, .. } => run!(Sqlite, statement, fetch_all, readers).map(of_sqlite),
            Kind::Postgres(pool) => run!(Postgres, statement, fetch_all, pool).map(of_postgres),
        };
        rows.map_err(|source| StoreError::Database { doing: "read", source })
    }

    /// The first such row.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn row(&self, statement: &Statement) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Changes rows; how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn execute(&self, statement: &Statement) -> Result<u64, StoreError> {
        let changed = match &self.0 {
            Kind::Sqlite { writer, .. } => run!(Sqlite, statement, execute, writer).map(|r| r.rows_affected()),
            Kind::Postgres(pool) => run!(Postgres, statement, execute, pool).map(|r| r.rows_affected()),
        };
        changed.map_err(|source| StoreError::Database { doing: "write", source })
    }

    /// Begins a transaction that will write.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let open = match &self.0 {
            Kind::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Open::Sqlite),
            Kind::Postgres(pool) => pool.begin().await.map(Open::Postgres),
        };
        open.map(Transaction).map_err(|source| StoreError::Database { doing: "begin a transaction", source })
    }

    /// Ends all connections.
    pub async fn close(&self) {
        match &self.0 {
            Kind::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Kind::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    /// Rows as this transaction sees them, or that it makes (`RETURNING`).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn rows(&mut self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        let rows = match &mut self.0 {
            Open::Sqlite(open) => run!(Sqlite, statement, fetch_all, &mut **open).map(of_sqlite),
            Open::Postgres(open) => run!(Postgres, statement, fetch_all, &mut **open).map(of_postgres),
        };
        rows.map_err(|source| StoreError::Database { doing: "read", source })
    }

    /// The first such row.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn row(&mut self, statement: &Statement) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Changes rows; how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn execute(&mut self, statement: &Statement) -> Result<u64, StoreError> {
        let changed = match &mut self.0 {
            Open::Sqlite(open) => run!(Sqlite, statement, execute, &mut **open).map(|r| r.rows_affected()),
            Open::Postgres(open) => run!(Postgres, statement, execute, &mut **open).map(|r| r.rows_affected()),
        };
        changed.map_err(|source| StoreError::Database { doing: "write", source })
    }

    /// Has it take effect.
    ///
    /// # Errors
    /// [`StoreError::Database`]; whether it took effect is then unknown.
    pub async fn commit(self) -> Result<(), StoreError> {
        let done = match self.0 {
            Open::Sqlite(open) => open.commit().await,
            Open::Postgres(open) => open.commit().await,
        };
        done.map_err(|source| StoreError::Database { doing: "commit", source })
    }
}

fn of_sqlite(rows: Vec<sqlx::sqlite::SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(|row| Row(Of::Sqlite(row))).collect()
}

fn of_postgres(rows: Vec<sqlx::postgres::PgRow>) -> Vec<Row> {
    rows.into_iter().map(|row| Row(Of::Postgres(row))).collect()
}
