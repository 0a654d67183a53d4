//! Which services to ask (`sigstore_trustroot.proto`, `SigningConfig` 0.2).

use serde_json::Value;
use sigstore_verify::trust_root::{
    SIGSTORE_PRODUCTION_SIGNING_CONFIG, SIGSTORE_STAGING_SIGNING_CONFIG, SIGSTORE_STAGING_TRUSTED_ROOT,
    ServiceConfiguration, ServiceEndpoint, ServiceSelector, SigningConfig,
};

use super::KeylessError;
use crate::json;

/// Longest configuration read, bytes.
const CONFIG_BYTES_MAX: usize = 4 << 20;
const CLIENT_TRUST_CONFIG: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";
/// The interfaces spoken here.
const FULCIO_VERSION: u32 = 1;
const REKOR_VERSION: u32 = 1;
const TIMESTAMP_VERSION: u32 = 1;

/// Addresses of one Sigstore instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// The certificate authority.
    pub fulcio: String,
    /// The transparency log.
    pub rekor: String,
    /// The timestamp authority, asked if there is one.
    pub timestamp_authority: Option<String>,
    /// `trusted_root.json` of the instance; that of the public one if absent.
    pub trusted_root: Option<String>,
}

impl Services {
    /// The public instance, without its timestamp authority: its log says
    /// when a signature was made.
    ///
    /// # Errors
    /// If all of its services known to this release have retired.
    pub fn public() -> Result<Self, KeylessError> {
        Ok(Self { timestamp_authority: None, ..Self::parse(SIGSTORE_PRODUCTION_SIGNING_CONFIG.as_bytes())? })
    }

    /// The public instance's rehearsal.
    ///
    /// # Errors
    /// As [`Self::public`].
    pub fn staging() -> Result<Self, KeylessError> {
        Ok(Self {
            timestamp_authority: None,
            trusted_root: Some(SIGSTORE_STAGING_TRUSTED_ROOT.to_owned()),
            ..Self::parse(SIGSTORE_STAGING_SIGNING_CONFIG.as_bytes())?
        })
    }

    /// Reads a signing configuration, or a client trust configuration, which
    /// holds one and the trusted root.
    ///
    /// # Errors
    /// [`KeylessError::Services`] says what is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeylessError> {
        let failed = |e: &dyn std::fmt::Display| KeylessError::Services(e.to_string());
        let mut value = json::strict(bytes, CONFIG_BYTES_MAX).map_err(|e| failed(&format_args!("is refused: {e}")))?;
        let mut trusted_root = None;
        if value.get("mediaType").and_then(Value::as_str) == Some(CLIENT_TRUST_CONFIG) {
            let mut part = |field: &str| {
                value.get_mut(field).map(Value::take).ok_or_else(|| failed(&format_args!("has no `{field}`")))
            };
            trusted_root = Some(part("trustedRoot")?.to_string());
            value = part("signingConfig")?;
        }
        let config =
            SigningConfig::from_json(&value.to_string()).map_err(|e| failed(&format_args!("is refused: {e}")))?;
        one("rekorTlogConfig", &config.rekor_tlog_config)?;
        one("tsaConfig", &config.tsa_config)?;
        let chosen = |field: &str, services: &[ServiceEndpoint], version| {
            newest(services, version).ok_or_else(|| {
                failed(&format_args!("names no service of version {version} in `{field}` that is in use"))
            })
        };
        Ok(Self {
            fulcio: chosen("caUrls", &config.ca_urls, FULCIO_VERSION)?,
            rekor: chosen("rekorTlogUrls", &config.rekor_tlog_urls, REKOR_VERSION)?,
            timestamp_authority: newest(&config.tsa_urls, TIMESTAMP_VERSION),
            trusted_root,
        })
    }
}

/// The service that was put into use last, of those that are in use.
fn newest(services: &[ServiceEndpoint], version: u32) -> Option<String> {
    let usable = services.iter().filter(|s| s.major_api_version == version && s.is_valid());
    usable.max_by_key(|s| s.valid_for.start).map(|s| s.url.clone())
}

fn one(field: &str, wanted: &ServiceConfiguration) -> Result<(), KeylessError> {
    match (wanted.selector, wanted.count) {
        (ServiceSelector::Exact, Some(count)) if count > 1 => {
            Err(KeylessError::Services(format!("asks in `{field}` for {count} services; one is used here")))
        }
        (ServiceSelector::Undefined, _) => {
            Err(KeylessError::Services(format!("does not say in `{field}` which service to use")))
        }
        _ => Ok(()),
    }
}
