//! Who may come in, and who came.

use jiff::Timestamp;
use weighbridge_console_wire::{CheckIn, Fingerprint, KeyStorage, Machine};

use crate::{Database, Statement, StoreError, Transaction};

/// A token that lets endpoints in. The token itself is shown once and not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken<'a> {
    /// Its number.
    pub id: &'a str,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Which team its endpoints belong to.
    pub team: &'a str,
    /// How many endpoints it lets in.
    pub quota: u32,
    /// Until when.
    pub expires: Timestamp,
    /// Who made it.
    pub by: &'a str,
}

/// An endpoint that asks to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer<'a> {
    /// The number it gets if it is new.
    pub id: &'a str,
    /// SHA-256 of its public key, which it has proved to hold.
    pub key_digest: [u8; 32],
    /// Where it runs.
    pub machine: &'a Machine,
    /// What keeps its key.
    pub key_storage: KeyStorage,
}

/// Whether an endpoint is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is: its number, and its team.
    Active {
        /// Number.
        id: String,
        /// Team.
        team: String,
    },
    /// An administrator has to say yes.
    Waiting {
        /// Number.
        id: String,
    },
    /// It was thrown out.
    Revoked,
    /// The token is unknown, used up, over, or taken back.
    NoToken,
}

/// What an endpoint that checks in must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its team.
    pub team: String,
    /// The rows that are known of it.
    pub inventory: Fingerprint,
}

/// Makes a team.
///
/// # Errors
/// [`StoreError::is_duplicate`] if there is one of that name.
pub async fn add_team(db: &Database, id: &str, name: &str, now: Timestamp) -> Result<(), StoreError> {
    let team = Statement::new("INSERT INTO teams (id, name, created) VALUES ($1, $2, $3)");
    db.execute(&team.bind(id).bind(name).bind(now.as_microsecond())).await.map(|_| ())
}

/// Whether there is such a team.
///
/// # Errors
/// [`StoreError`].
pub async fn has_team(db: &Database, id: &str) -> Result<bool, StoreError> {
    Ok(db.row(&Statement::new("SELECT id FROM teams WHERE id = $1").bind(id)).await?.is_some())
}

/// Makes a token.
///
/// # Errors
/// [`StoreError`]; also if there is no such team.
pub async fn add_token(db: &Database, token: &NewToken<'_>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO enrolment_tokens (id, digest, team, quota, created, created_by, expires) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let statement = Statement::new(sql)
        .bind(token.id)
        .bind(token.digest)
        .bind(token.team)
        .bind(i64::from(token.quota))
        .bind(now.as_microsecond())
        .bind(token.by)
        .bind(token.expires.as_microsecond());
    db.execute(&statement).await.map(|_| ())
}

/// Takes a token back. False if there is none.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke_token(db: &Database, id: &str) -> Result<bool, StoreError> {
    let statement = Statement::new("UPDATE enrolment_tokens SET revoked = TRUE WHERE id = $1").bind(id);
    Ok(db.execute(&statement).await? > 0)
}

/// Lets `newcomer` in by a token, if that holds. One that asked before, with the
/// same key, is told how it stands and needs no token. One on a machine that is
/// known already waits: it may be a copy.
///
/// # Errors
/// [`StoreError`]; nothing was changed then.
pub async fn enrol(
    db: &Database,
    token: [u8; 32],
    newcomer: &Newcomer<'_>,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let mut open = db.begin().await?;
    if let Some(standing) = by_key(&mut open, newcomer.key_digest).await? {
        return Ok(standing);
    }
    // One statement: of many that use the last place at once, one gets it.
    let take = "UPDATE enrolment_tokens SET used = used + 1 \
                WHERE digest = $1 AND used < quota AND expires > $2 AND NOT revoked RETURNING team";
    let Some(row) = open.row(&Statement::new(take).bind(token).bind(now.as_microsecond())).await? else {
        return Ok(Standing::NoToken);
    };
    let team: String = row.get("team")?;
    let Newcomer { id, key_digest, machine, key_storage } = newcomer;
    let known = Statement::new("SELECT id FROM endpoints WHERE machine_id = $1 AND status = 'active' LIMIT 1");
    let is_known = open.row(&known.bind(machine.machine_id.as_str())).await?.is_some();
    let sql = "INSERT INTO endpoints (id, team, status, host, machine_id, system, system_version, architecture, \
               agent_version, key_storage, key_digest, enrolled, inventory) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let statement = Statement::new(sql)
        .bind(*id)
        .bind(team.as_str())
        .bind(if is_known { "waiting" } else { "active" })
        .bind(machine.host.as_str())
        .bind(machine.machine_id.as_str())
        .bind(machine.system.as_str())
        .bind(machine.system_version.as_str())
        .bind(machine.architecture.as_str())
        .bind(machine.agent_version.as_str())
        .bind(match key_storage {
            KeyStorage::Software => "software",
            KeyStorage::Tpm => "tpm",
        })
        .bind(*key_digest)
        .bind(now.as_microsecond())
        .bind(Fingerprint::default().to_string());
    open.execute(&statement).await?;
    open.commit().await?;
    let id = (*id).to_owned();
    Ok(if is_known { Standing::Waiting { id } } else { Standing::Active { id, team } })
}

async fn by_key(open: &mut Transaction, key_digest: [u8; 32]) -> Result<Option<Standing>, StoreError> {
    let statement = Statement::new("SELECT id, team, status FROM endpoints WHERE key_digest = $1").bind(key_digest);
    let Some(row) = open.row(&statement).await? else { return Ok(None) };
    let id = row.get("id")?;
    Ok(Some(match row.get::<String>("status")?.as_str() {
        "active" => Standing::Active { id, team: row.get("team")? },
        "waiting" => Standing::Waiting { id },
        _ => Standing::Revoked,
    }))
}

/// Lets an endpoint in that waits; others that say they are the same machine are
/// thrown out. False if none of that number waits.
///
/// # Errors
/// [`StoreError`].
pub async fn approve(db: &Database, id: &str) -> Result<bool, StoreError> {
    let mut open = db.begin().await?;
    let sql = "UPDATE endpoints SET status = 'active' WHERE id = $1 AND status = 'waiting' RETURNING machine_id";
    let Some(row) = open.row(&Statement::new(sql).bind(id)).await? else { return Ok(false) };
    let others = "UPDATE endpoints SET status = 'revoked' WHERE machine_id = $1 AND id <> $2";
    open.execute(&Statement::new(others).bind(row.get::<String>("machine_id")?).bind(id)).await?;
    open.commit().await?;
    Ok(true)
}

/// Notes the key that an endpoint has from now on; its team. None if it is not
/// in.
///
/// # Errors
/// [`StoreError::is_duplicate`] if another endpoint has that key.
pub async fn renew(db: &Database, id: &str, key_digest: [u8; 32]) -> Result<Option<String>, StoreError> {
    let sql = "UPDATE endpoints SET key_digest = $2 WHERE id = $1 AND status = 'active' RETURNING team";
    let mut open = db.begin().await?;
    let Some(row) = open.row(&Statement::new(sql).bind(id).bind(key_digest)).await? else { return Ok(None) };
    open.commit().await?;
    row.get("team").map(Some)
}

/// Throws an endpoint out. False if there is none.
///
/// # Errors
/// [`StoreError`].
pub async fn revoke(db: &Database, id: &str) -> Result<bool, StoreError> {
    let statement = Statement::new("UPDATE endpoints SET status = 'revoked' WHERE id = $1").bind(id);
    Ok(db.execute(&statement).await? > 0)
}

/// Takes note of a sign of life. None if the endpoint is not in.
///
/// # Errors
/// [`StoreError`].
pub async fn seen(db: &Database, id: &str, told: &CheckIn, now: Timestamp) -> Result<Option<Seen>, StoreError> {
    let sql = "UPDATE endpoints SET last_seen = $2, agent_version = $3, mode = $4, policy_version = $5, \
               events_dropped = $6, clock_skew = $7 WHERE id = $1 AND status = 'active' RETURNING team, inventory";
    let skew = told.now.as_microsecond().saturating_sub(now.as_microsecond());
    let statement = Statement::new(sql)
        .bind(id)
        .bind(now.as_microsecond())
        .bind(told.agent_version.as_str())
        .bind(told.mode.name())
        .bind(told.policy_version.clone())
        .bind(i64::try_from(told.events_dropped).unwrap_or(i64::MAX))
        .bind(skew);
    let mut open = db.begin().await?;
    let Some(row) = open.row(&statement).await? else { return Ok(None) };
    open.commit().await?;
    let inventory = row.get::<String>("inventory")?.parse().unwrap_or_default();
    Ok(Some(Seen { team: row.get("team")?, inventory }))
}
