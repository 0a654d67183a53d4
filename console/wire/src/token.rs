use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::WireError;

const PREFIX: &str = "wbe1.";

/// What an administrator gives an endpoint to come in with: a secret, and whom
/// to tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the public key of the console's authority: an endpoint believes
    /// no other from its first word on.
    pub authority: [u8; 32],
    /// The console knows its digest alone.
    pub secret: [u8; 32],
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.{}", BASE64.encode(self.authority), BASE64.encode(self.secret))
    }
}

/// Without the secret.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({PREFIX}{}.…)", BASE64.encode(self.authority))
    }
}

impl FromStr for JoinToken {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let part = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        let parts = || {
            let (authority, secret) = text.trim().strip_prefix(PREFIX)?.split_once('.')?;
            Some(Self { authority: part(authority)?, secret: part(secret)? })
        };
        let reason = "is no enrolment token; copy all of it, from `wbe1.` on".to_owned();
        parts().ok_or(WireError::Field { field: "token", reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_shown_and_keeps_its_secret() {
        let token = JoinToken { authority: [7; 32], secret: [0xfe; 32] };
        let text = token.to_string();
        assert_eq!(text.parse::<JoinToken>().unwrap(), token);
        assert_eq!(format!(" {text}\n").parse::<JoinToken>().unwrap(), token);
        assert!(text.len() < 256 && !format!("{token:?}").contains(&BASE64.encode(token.secret)));
        for bad in ["", "wbe1.", "wbe2.a.b", &text[..text.len() - 1], &format!("{text}.x"), &text.replace('.', "")] {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }
}
