//! Tables, version by version. What was released is never changed.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One version of the tables, for each database.
struct Version {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const ALL: &[Version] = &[
    Version {
        number: 1,
        name: "endpoints",
        sqlite: include_str!("migrations/sqlite/0001_endpoints.sql"),
        postgres: include_str!("migrations/postgres/0001_endpoints.sql"),
    },
    Version {
        number: 2,
        name: "events",
        sqlite: include_str!("migrations/sqlite/0002_events.sql"),
        postgres: include_str!("migrations/postgres/0002_events.sql"),
    },
];

pub fn sqlite() -> Migrator {
    migrator(|version| version.sqlite)
}

pub fn postgres() -> Migrator {
    migrator(|version| version.postgres)
}

fn migrator(of: fn(&Version) -> &'static str) -> Migrator {
    let migration = |version: &Version| {
        let sql = of(version).into_sql_str();
        Migration::new(version.number, version.name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(ALL.iter().map(migration).collect())
}
