//! The one place that names a driver.

mod database;
mod row;
mod statement;

pub use database::{Database, Transaction};
pub use row::Row;
pub use statement::{Statement, Value};
