//! What the console keeps, in one SQLite file or in PostgreSQL.
//!
//! Job: statements written once, in the SQL that both databases accept
//! (`docs/decisions/0011-console-storage.md`), and the tables they are about.
//!
//! Trust boundary: every text in a row may come from an endpoint that lies.
//! Values are bound, never spliced into statements.
//!
//! Deliberately unknown here: HTTP, sessions, who may see what.
#![forbid(unsafe_code)]

mod convert;
pub mod enrolment;
mod error;
pub mod events;
pub mod inventory;
mod migrations;
pub mod orders;
mod sql;

pub use error::StoreError;
pub use sql::{Database, Row, Statement, Transaction, Value};
