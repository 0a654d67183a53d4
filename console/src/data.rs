//! Where a console keeps what it knows.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use weighbridge_console_authority::Authority;
use weighbridge_console_store::{Database, enrolment};

use crate::error::Failure;

/// The team of endpoints for which nobody names another.
pub const TEAM: &str = "default";

#[derive(Debug, Args)]
pub struct Data {
    /// The console's folder: its authority, and its database unless that is elsewhere
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// A PostgreSQL database instead of a file in the folder: postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl Data {
    /// The database, with all tables.
    pub async fn open(&self) -> Result<Database, Failure> {
        self.folder()?;
        let db = match &self.database {
            Some(address) => Database::postgres(address).await?,
            None => Database::sqlite(&self.data.join("console.db")).await?,
        };
        match enrolment::add_team(&db, TEAM, "Default", Timestamp::now()).await {
            Err(error) if !error.is_duplicate() => Err(error.into()),
            _ => Ok(db),
        }
    }

    /// Whom endpoints believe.
    pub fn authority(&self) -> Result<Authority, Failure> {
        self.folder()?;
        Ok(Authority::open(&self.data.join("authority"), Timestamp::now())?)
    }

    /// For the console alone: who reads it can be the console.
    fn folder(&self) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.data);
        made.map_err(|source| Failure::File { action: "make", path: self.data.clone(), source })
    }
}
