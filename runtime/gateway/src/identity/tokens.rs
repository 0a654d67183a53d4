//! Tokens of services: what is kept is their digest.

use std::path::Path;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::Sha256;

use crate::config::ConfigError;

/// Largest file of tokens, bytes, and most lines in it.
const BYTES_MAX: u64 = 1 << 20;
const TOKENS_MAX: usize = 10_000;
/// Longest token looked at, bytes.
const TOKEN_BYTES_MAX: usize = 4096;
/// What a token of ours begins with. One that does and is not known is refused
/// rather than passed over: it was taken back.
const PREFIX: &str = "wb_";

/// Names of services by the digest of their token.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(String, Sha256)>);

/// What a token in a request says.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// This service.
    Service(&'a str),
    /// It is, or was, meant to be one of ours, and is none.
    Refused,
    /// The placeholder that clients want, or somebody else's.
    Foreign,
}

impl Tokens {
    /// Reads lines of `name sha256`; `#` begins a comment.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let failed = |source| ConfigError::Read { path: shown.clone(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, BYTES_MAX), &mut text).map_err(failed)?;
        Self::parse(&text).map_err(|e| ConfigError::Wrong(format!("`{shown}`: {e}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [name, digest] = words.as_slice() else {
                return Err(format!("line {} is not a name and the SHA-256 of a token", at + 1));
            };
            let digest = digest.parse().map_err(|e| format!("line {}: {e}", at + 1))?;
            if tokens.len() == TOKENS_MAX {
                return Err(format!("there are more than {TOKENS_MAX} tokens"));
            }
            tokens.push(((*name).to_owned(), digest));
        }
        Ok(Self(tokens))
    }

    /// Whose `token` is. Every entry is compared to its end, so that the time
    /// it takes tells nothing.
    pub fn find(&self, token: &str) -> Known<'_> {
        let mut found = None;
        if token.len() <= TOKEN_BYTES_MAX {
            let digest = Hasher::digest(token.as_bytes());
            for (name, known) in &self.0 {
                let differs = known.as_bytes().iter().zip(digest.iter()).fold(0, |all, (a, b)| all | (a ^ b));
                if std::hint::black_box(differs) == 0 {
                    found = Some(name.as_str());
                }
            }
        }
        match found {
            Some(name) => Known::Service(name),
            None if token.starts_with(PREFIX) => Known::Refused,
            None => Known::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest() {
        let digest = "5".repeat(64);
        let own: String = Hasher::digest(b"wb_secret").iter().map(|b| format!("{b:02x}")).collect();
        let tokens = Tokens::parse(&format!("# services\nci {own} # build\nother {digest}\n")).unwrap();
        assert_eq!(tokens.find("wb_secret"), Known::Service("ci"));
        assert_eq!(tokens.find("wb_secreT"), Known::Refused);
        assert_eq!((tokens.find("ollama"), tokens.find("")), (Known::Foreign, Known::Foreign));
        assert_eq!(Tokens::default().find("wb_secret"), Known::Refused);
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        for bad in ["ci", "ci 12", "ci 12 13", &format!("a b {}", "0".repeat(64))] {
            assert!(Tokens::parse(bad).unwrap_err().starts_with("line 1"), "{bad}");
        }
    }
}
