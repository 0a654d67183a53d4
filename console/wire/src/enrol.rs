//! Getting in: a token for a certificate.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::{Check, bytes, name, seconds};
use crate::{VERSION, WireError};

/// Longest request for a certificate, PEM.
pub const REQUEST_PEM_BYTES_MAX: usize = 16 << 10;

/// Longest chain of certificates, PEM.
const CERTIFICATES_BYTES_MAX: usize = 64 << 10;

/// What an endpoint that is not known yet sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// [`VERSION`] that it speaks.
    pub version: u32,
    /// The token that an administrator gave it; good once for each endpoint.
    pub token: String,
    /// PKCS #10 request for a certificate, PEM (RFC 2986). Only its key counts.
    pub request: String,
    /// Where it runs.
    pub machine: Machine,
    /// What keeps the private key.
    #[serde(default)]
    pub key_storage: KeyStorage,
}

/// A machine, as it describes itself. Nobody believes it, but people know their
/// machines by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name.
    pub host: String,
    /// What stays when the name changes (machine-id(5)), digested.
    pub machine_id: String,
    /// `linux`, `macos`, `windows`.
    pub system: String,
    /// Of the system, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system_version: String,
    /// `x86_64`, `aarch64`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Of this program.
    pub agent_version: String,
}

/// What keeps a private key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStorage {
    /// A file that only root reads.
    #[default]
    Software,
    /// A TPM 2.0.
    Tpm,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum EnrolmentAnswer {
    /// It is in.
    Enrolled(Enrolled),
    /// An administrator must say yes first: this machine is known already. Ask
    /// again, with the same key, after so many seconds.
    Waiting {
        /// Seconds.
        retry_after_s: u32,
    },
}

/// A certificate, and what is needed beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Number of the endpoint; its certificate says it, too.
    pub endpoint: String,
    /// The certificate and those up to the console's authority, PEM.
    pub certificates: String,
    /// Until when the certificate is good.
    pub expires: Timestamp,
    /// Team of the endpoint: which policies hold for it.
    pub team: String,
}

impl Check for Enrolment {
    fn check(&self) -> Result<(), WireError> {
        if self.version == 0 || self.version > VERSION {
            let reason = format!("is {}; this console speaks up to {VERSION}", self.version);
            return Err(WireError::Field { field: "version", reason });
        }
        name("token", &self.token)?;
        bytes("request", &self.request, REQUEST_PEM_BYTES_MAX)?;
        self.machine.check()
    }
}

impl Check for EnrolmentAnswer {
    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Enrolled(enrolled) => enrolled.check(),
            Self::Waiting { retry_after_s } => seconds("retry_after_s", *retry_after_s),
        }
    }
}

impl Check for Enrolled {
    fn check(&self) -> Result<(), WireError> {
        name("endpoint", &self.endpoint)?;
        bytes("certificates", &self.certificates, CERTIFICATES_BYTES_MAX)?;
        name("team", &self.team)
    }
}

impl Check for Machine {
    fn check(&self) -> Result<(), WireError> {
        let Self { host, machine_id, system, system_version, architecture, agent_version } = self;
        name("machine.host", host)?;
        name("machine.machine_id", machine_id)?;
        name("machine.system", system)?;
        name("machine.system_version", system_version)?;
        name("machine.architecture", architecture)?;
        name("machine.agent_version", agent_version)
    }
}
