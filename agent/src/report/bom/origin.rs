//! Where a model is said to come from.

use weighbridge_types::{Claim, Signature, Strength};

use super::{Bill, ITEMS_MAX, ModelEntry, NAME_CHARS_MAX, TEXT_CHARS_MAX, purl, text, url};

/// Longest path of a bundle that is passed on as an address: what Linux opens.
const BUNDLE_BYTES_MAX: usize = 4096;

impl<'a> Bill<'a> {
    /// The claim worth most among those that `accept` something.
    fn strongest<'b, T>(
        &self,
        entry: &'b ModelEntry<'a>,
        accept: impl Fn(&'b Claim) -> Option<T>,
    ) -> Option<(&'b Claim, T)> {
        let mut best: Option<(&Claim, T)> = None;
        for claim in &entry.model.origin {
            if best.as_ref().is_none_or(|(b, _)| claim.strength > b.strength)
                && let Some(value) = accept(claim)
            {
                best = Some((claim, value));
            }
        }
        best
    }

    /// The package URL of the strongest claim that has one.
    pub fn purl<'b>(&self, entry: &'b ModelEntry<'a>) -> Option<(&'b Claim, &'b str)> {
        self.strongest(entry, |c| c.purl.as_deref().and_then(purl))
    }

    /// The revision of the strongest claim that has one; without any, the
    /// digest's head.
    pub fn version(&self, entry: &ModelEntry<'a>) -> Option<String> {
        let claimed = self.claimed_revision(entry).map(|(_, r)| text(r, NAME_CHARS_MAX));
        claimed.or_else(|| {
            let digest = self.digest_of(entry)?;
            let (kind, hex) = digest.split_once(':')?;
            Some(format!("{kind}:{}", hex.get(..12)?))
        })
    }

    /// The revision that is claimed, and the claim.
    pub fn claimed_revision<'b>(&self, entry: &'b ModelEntry<'a>) -> Option<(&'b Claim, &'b str)> {
        self.strongest(entry, |c| c.revision.as_deref().filter(|r| !r.trim().is_empty()))
    }

    /// Who supplies it: the owner of the repository it was fetched from, as
    /// the program that fetched it noted down.
    pub fn supplier(&self, entry: &ModelEntry<'a>) -> Option<String> {
        let (claim, purl) = self.purl(entry)?;
        let owner = purl.strip_prefix("pkg:huggingface/")?.split_once('/')?.0;
        (claim.strength >= Strength::Record).then(|| text(owner, NAME_CHARS_MAX))
    }

    /// Addresses it is said to have been fetched from.
    pub fn downloads(&self, entry: &ModelEntry<'a>) -> Vec<(&Claim, String)> {
        let mut out: Vec<(&Claim, String)> = Vec::new();
        for claim in &entry.model.origin {
            let address = claim.url.as_deref().and_then(url);
            if let Some(address) = address.filter(|a| out.len() < ITEMS_MAX && !out.iter().any(|(_, o)| o == a)) {
                out.push((claim, address));
            }
        }
        out
    }

    /// Every claim, in a line each.
    pub fn claims(&self, entry: &ModelEntry<'a>) -> Vec<String> {
        entry.model.origin.iter().take(ITEMS_MAX).map(claim_line).collect()
    }
}

fn claim_line(claim: &Claim) -> String {
    // What does not parse as an address may hide credentials: no address then.
    let address = claim.url.as_deref().and_then(url);
    let parts = [claim.purl.as_deref(), claim.revision.as_deref(), address.as_deref(), Some(&*claim.detail)];
    let parts: Vec<&str> = parts.into_iter().flatten().filter(|p| !p.is_empty()).collect();
    text(&format!("{} ({}): {}", claim.source, strength(claim.strength), parts.join("; ")), TEXT_CHARS_MAX)
}

/// As it stands in the report.
pub const fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::Hint => "hint",
        Strength::Record => "record",
        Strength::Content => "content",
        Strength::Proof => "proof",
    }
}

/// What a bundle says, by name.
pub fn signature_facts(signature: &Signature) -> Vec<(&'static str, String)> {
    let mut out = vec![("signature", signature.status().to_owned())];
    let mut say = |name, value: Option<&str>| {
        if let Some(value) = value {
            out.push((name, text(value, TEXT_CHARS_MAX)));
        }
    };
    let signer = match signature {
        Signature::Unsigned => None,
        Signature::Trusted { signer, .. } => Some(signer),
        Signature::Untrusted { reason, signer, .. } => {
            say("signature-reason", Some(reason));
            signer.as_ref()
        }
        Signature::Unknown { cause, signer, .. } => {
            say("signature-cause", Some(cause));
            signer.as_ref()
        }
    };
    if let Some(signer) = signer {
        let method = match signer.method {
            weighbridge_types::SigningMethod::Key => "key",
            weighbridge_types::SigningMethod::Certificate => "certificate",
            weighbridge_types::SigningMethod::Sigstore => "sigstore",
        };
        say("signing-method", Some(method));
        say("signer", Some(&signer.identity));
        say("signer-issuer", signer.issuer.as_deref());
        say("signer-name", signer.name.as_deref());
        say("signed-at", signer.signed_at.as_deref());
    }
    if let Signature::Trusted { coverage, .. } = signature {
        say("files-signed", Some(&coverage.files_signed.to_string()));
        say("files-ignored", Some(&coverage.files_ignored.to_string()));
        say("bytes-signed", Some(&coverage.bytes_signed.to_string()));
        say("bytes-ignored", Some(&coverage.bytes_ignored.to_string()));
    }
    out
}

/// The bundle's path, where there is one that a system could open.
pub fn bundle(signature: &Signature) -> Option<&str> {
    let path = match signature {
        Signature::Unsigned => return None,
        Signature::Trusted { bundle, .. } | Signature::Untrusted { bundle, .. } | Signature::Unknown { bundle, .. } => {
            bundle
        }
    };
    (1..=BUNDLE_BYTES_MAX).contains(&path.len()).then_some(path)
}
