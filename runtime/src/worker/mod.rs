//! One worker process: started, spoken to, listened to, ended.

mod connection;
mod law;
mod process;
mod routes;

pub use connection::{Connection, End};
pub use process::Launch;
