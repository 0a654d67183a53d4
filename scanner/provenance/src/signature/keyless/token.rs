//! OpenID Connect identity tokens (RFC 7519), as far as a client reads them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::KeylessError;
use crate::json;

/// Longest token read, bytes.
pub const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Proof of who signs, for the certificate authority alone: whoever holds it
/// can sign in that name. It is verified there, not here.
pub struct IdentityToken {
    text: String,
    subject: String,
    email: Option<String>,
    issuers: Vec<String>,
    expires: Timestamp,
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityToken([redacted])")
    }
}

impl IdentityToken {
    /// Reads a token in its compact form; blanks around it are skipped.
    ///
    /// # Errors
    /// [`KeylessError::Token`] names the claim, never the token.
    pub fn parse(text: &str) -> Result<Self, KeylessError> {
        let failed = |problem: &str| KeylessError::Token(problem.to_owned());
        let text = text.trim();
        let mut parts = text.split('.');
        let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(failed("is no JSON Web Token: three parts with dots between are expected"));
        };
        let max = usize::try_from(TOKEN_BYTES_MAX).unwrap_or(usize::MAX);
        if text.len() > max {
            return Err(failed("is longer than 64 KiB"));
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| failed("is not base64"))?;
        let claims = json::strict(&claims, max).map_err(|_| failed("holds no proper JSON"))?;
        let claim = |path: &str| claims.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let issuer = claim("/iss").ok_or_else(|| failed("has no claim `iss`"))?;
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or_else(|| failed("has no claim `exp`"))?;
        #[expect(clippy::cast_possible_truncation, reason = "float casts saturate, and the range is checked after")]
        let expires = Timestamp::from_second(expires as i64).map_err(|_| failed("has an absurd `exp`"))?;
        let verified = claims.get("email_verified").is_some_and(|v| v == &Value::Bool(true) || v == "true");
        Ok(Self {
            text: text.to_owned(),
            subject: claim("/sub").ok_or_else(|| failed("has no claim `sub`"))?,
            email: claim("/email").filter(|_| verified),
            // An identity provider in front of others says who vouched.
            issuers: [Some(issuer), claim("/federated_claims/connector_id")].into_iter().flatten().collect(),
            expires,
        })
    }

    /// The token itself.
    pub(super) fn secret(&self) -> &str {
        &self.text
    }

    /// What the key has to sign to prove that it is at hand: the e-mail
    /// address where the provider verified one, else the subject.
    pub(super) fn challenge(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }

    /// Whether it may still be used at `now`.
    ///
    /// # Errors
    /// [`KeylessError::Expired`]
    pub fn check(&self, now: Timestamp) -> Result<(), KeylessError> {
        if now >= self.expires { Err(KeylessError::Expired(self.expires)) } else { Ok(()) }
    }

    /// Whether a certificate for `identity`, vouched for by `issuer`, is for
    /// whom this token speaks. Only e-mail addresses stand in certificates as
    /// they stand in tokens.
    pub(super) fn check_certified(&self, identity: &str, issuer: &str) -> Result<(), KeylessError> {
        let other = |what: &str| KeylessError::Certificate(what.to_owned());
        if !self.issuers.iter().any(|i| i == issuer) {
            return Err(other(&format!("it names the identity provider `{issuer}`, which the token does not")));
        }
        match &self.email {
            Some(email) if email != identity => {
                Err(other(&format!("it certifies `{identity}`, but the token speaks of `{email}`")))
            }
            _ => Ok(()),
        }
    }
}
