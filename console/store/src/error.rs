/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address names no database that can be used.
    #[error("`{address}` is no database that the console knows; give a file, or postgres://USER@HOST/NAME")]
    Address {
        /// Without its password.
        address: String,
    },
    /// The database cannot be reached, or refuses.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// What it says.
        source: sqlx::Error,
    },
    /// A row holds what the console never writes.
    #[error("the column `{column}` holds what no console of this version writes; restore the database from a backup")]
    Damaged {
        /// Which column.
        column: &'static str,
    },
    /// The tables cannot be brought to this version's.
    #[error("cannot bring the tables up to date: {0}; a newer console may have changed them")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether a row with the same key is there already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database { source: sqlx::Error::Database(error), .. } if error.is_unique_violation())
    }

    /// Whether what was to be defined is there, or does not fit what is there
    /// (PostgreSQL: duplicate table, unique or check violation, invalid definition).
    pub(crate) fn is_conflicting_definition(&self) -> bool {
        let Self::Database { source: sqlx::Error::Database(error), .. } = self else { return false };
        matches!(error.code().as_deref(), Some("42P07" | "23505" | "23514" | "42P17"))
    }

    /// Whether asking again may help: the database is busy or away.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        match source {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => true,
            // SQLITE_BUSY, SQLITE_LOCKED; serialisation failure, deadlock, shutting down.
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                matches!(code.as_ref(), "5" | "6" | "517" | "40001" | "40P01" | "57P01" | "57P03")
            }
            _ => false,
        }
    }
}
