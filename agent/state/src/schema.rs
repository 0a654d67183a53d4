//! The tables, and the way from older ones to them.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (`PRAGMA application_id`): `WBST`.
const APPLICATION: i64 = 0x5742_5354;
/// Each brings the schema one version forward. Never edit one that was released.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema-2.sql")];

/// What [`migrate`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Migrated {
    /// From this version, 0 for an empty database; the same if nothing was to do.
    From(i64),
    /// Written by a later release.
    Newer { found: i64, known: i64 },
}

/// Brings the database to the newest schema.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Migrated> {
    migrate_by(connection, MIGRATIONS)
}

/// Version that the database has, held against the newest we know.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<Migrated> {
    let found = user_version(connection)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    Ok(if found > known { Migrated::Newer { found, known } } else { Migrated::From(found) })
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn migrate_by(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<Migrated> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = user_version(connection)?;
    if found > known || found < 0 {
        return Ok(Migrated::Newer { found, known });
    }
    for (version, migration) in (1_i64..).zip(migrations).filter(|(version, _)| *version > found) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "application_id", APPLICATION)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(Migrated::From(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_once_and_in_order() {
        let mut db = Connection::open_in_memory().unwrap();
        let first = ["CREATE TABLE t (a)"];
        let both = ["CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES (1, 2)"];
        assert_eq!(migrate_by(&mut db, &first), Ok(Migrated::From(0)));
        assert_eq!(migrate_by(&mut db, &both), Ok(Migrated::From(1)));
        assert_eq!(migrate_by(&mut db, &both), Ok(Migrated::From(2)));
        assert_eq!(db.query_row("SELECT count(*), sum(b) FROM t", [], |r| Ok((r.get(0)?, r.get(1)?))), Ok((1, 2)));
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before() {
        let mut db = Connection::open_in_memory().unwrap();
        assert!(migrate_by(&mut db, &["CREATE TABLE t (a)", "CREATE TABLE u (a); nonsense"]).is_err());
        assert_eq!(user_version(&db), Ok(1));
        assert!(db.query_row("SELECT count(*) FROM u", [], |r| r.get::<_, i64>(0)).is_err(), "half a step stayed");
    }

    #[test]
    fn a_later_schema_is_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", 9).unwrap();
        assert_eq!(migrate(&mut db), Ok(Migrated::Newer { found: 9, known: 2 }));
    }
}
