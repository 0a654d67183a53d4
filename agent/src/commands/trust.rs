//! Whom to trust, from the command line.

use std::path::PathBuf;

use clap::Args;
use weighbridge_provenance::signature::{MethodConfig, SignerConfig, TRUST_BYTES_MAX, TrustConfig};

use crate::commands::files;
use crate::exit::Failure;

/// Options that name one signer.
#[derive(Debug, Args)]
pub struct SignerOptions {
    /// Signed with this public key (PEM; P-256, P-384 or P-521)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate_roots", "identity", "identity_provider"])]
    pub key: Option<PathBuf>,

    /// Signed with a certificate that one of these roots (PEM) vouches for
    #[arg(long, value_name = "FILE", conflicts_with = "identity_provider")]
    pub certificate_roots: Option<PathBuf>,

    /// Signed by this identity: e-mail address, address or name in the certificate
    #[arg(long, value_name = "IDENTITY")]
    pub identity: Option<String>,

    /// Signed keylessly; this identity provider vouches for the identity
    #[arg(long, value_name = "URL", requires = "identity")]
    pub identity_provider: Option<String>,

    /// Root of another Sigstore instance [default: the public one], or the
    /// timestamp authorities to believe for certificates that have expired
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
}

impl SignerOptions {
    /// The one signer named; none if nothing was.
    pub fn config(&self) -> Result<TrustConfig, Failure> {
        let text = |path: &PathBuf| files::read_text(path, TRUST_BYTES_MAX);
        let trusted_root = self.trusted_root.as_ref().map(text).transpose()?;
        let method = match (&self.key, &self.certificate_roots, &self.identity_provider, &self.identity) {
            (Some(key), ..) => MethodConfig::Key { pem: text(key)? },
            (_, Some(roots), _, identity) => MethodConfig::Certificate {
                roots: text(roots)?,
                identity: identity.clone(),
                timestamps: trusted_root,
                danger_authority_leaves: false,
            },
            (_, _, Some(provider), Some(identity)) => {
                MethodConfig::Sigstore { identity: identity.clone(), identity_provider: provider.clone(), trusted_root }
            }
            (_, _, _, Some(_)) => {
                return Err(Failure::Usage(
                    "`--identity` needs `--identity-provider` (keyless) or `--certificate-roots`".to_owned(),
                ));
            }
            (None, None, _, None) => return Ok(TrustConfig::default()),
        };
        Ok(TrustConfig { signers: vec![SignerConfig { name: None, method }] })
    }
}
