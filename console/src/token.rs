//! `weighbridge-console token`.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use weighbridge_console_fleet::new_id;
use weighbridge_console_store::enrolment::{self, NewToken};
use weighbridge_console_wire::JoinToken;

use crate::data::{Data, TEAM};
use crate::error::Failure;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    data: Data,

    /// Team of the endpoints that come with it
    #[arg(long, default_value = TEAM)]
    team: String,

    /// How many endpoints may come with it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    quota: u32,

    /// How long it is good, hours
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=8_760))]
    hours: u16,
}

/// Makes a token and shows it, this once.
pub async fn run(options: &Options) -> Result<(), Failure> {
    let db = options.data.open().await?;
    let now = Timestamp::now();
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| Failure::Usage("the system has no randomness".to_owned()))?;
    let token = JoinToken { authority: options.data.authority()?.fingerprint(), secret };
    let id = new_id();
    let new = NewToken {
        id: &id,
        digest: Sha256::digest(secret).into(),
        team: &options.team,
        quota: options.quota,
        expires: now + SignedDuration::from_hours(i64::from(options.hours)),
        by: "the console's command line",
    };
    if !enrolment::has_team(&db, &options.team).await? {
        return Err(Failure::Usage(format!("there is no team `{}`", options.team)));
    }
    enrolment::add_token(&db, &new, now).await?;
    db.close().await;
    println!("{token}");
    Ok(())
}
