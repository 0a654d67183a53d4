//! Credentials by the formats their issuers publish.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use weighbridge_types::Rule;

use crate::codec::indicators::rules;

/// A credential found in text; only what may be shown of it.
pub(super) struct Secret {
    pub rule: &'static Rule,
    pub kind: &'static str,
    /// First characters and length.
    pub redacted: String,
}

/// One issuer's format: prefix, then `body` characters of an alphabet.
struct Token {
    kind: &'static str,
    prefix: &'static str,
    body: std::ops::RangeInclusive<usize>,
    alphabet: Alphabet,
}

#[derive(Clone, Copy)]
enum Alphabet {
    /// `A-Z2-7`, upper case only.
    Base32,
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits, `-` and `_`.
    Url,
}

const fn token(kind: &'static str, prefix: &'static str, min: usize, max: usize, alphabet: Alphabet) -> Token {
    Token { kind, prefix, body: min..=max, alphabet }
}

const TOKENS: &[Token] = &[
    token("AWS access key", "AKIA", 16, 16, Alphabet::Base32),
    token("AWS access key", "ASIA", 16, 16, Alphabet::Base32),
    token("GitHub token", "ghp_", 36, 36, Alphabet::Alphanumeric),
    token("GitHub token", "gho_", 36, 36, Alphabet::Alphanumeric),
    token("GitHub token", "ghu_", 36, 36, Alphabet::Alphanumeric),
    token("GitHub token", "ghs_", 36, 36, Alphabet::Alphanumeric),
    token("GitHub token", "ghr_", 36, 76, Alphabet::Alphanumeric),
    token("GitHub token", "github_pat_", 60, 100, Alphabet::Url),
    token("GitLab token", "glpat-", 20, 40, Alphabet::Url),
    token("Hugging Face token", "hf_", 34, 40, Alphabet::Alphanumeric),
    token("OpenAI key", "sk-proj-", 40, 200, Alphabet::Url),
    token("Anthropic key", "sk-ant-", 40, 140, Alphabet::Url),
    token("OpenAI key", "sk-", 48, 48, Alphabet::Alphanumeric),
    token("Slack token", "xoxb-", 30, 90, Alphabet::Url),
    token("Slack token", "xoxp-", 30, 90, Alphabet::Url),
    token("Slack token", "xoxa-", 30, 90, Alphabet::Url),
    token("Google API key", "AIza", 35, 35, Alphabet::Url),
    token("npm token", "npm_", 36, 36, Alphabet::Alphanumeric),
    token("PyPI token", "pypi-AgEIcHlwaS", 50, 250, Alphabet::Url),
    token("Stripe key", "sk_live_", 24, 99, Alphabet::Alphanumeric),
];

/// Kinds of PEM blocks that are private.
const PRIVATE_KEYS: &[&str] = &[
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
];

/// Fewest base64 characters of a private key: an Ed25519 one in PKCS #8.
const PEM_BODY_MIN: usize = 60;
/// Entropy of a random body, bits per character; words and repetitions are
/// below. Base32's sixteen characters carry less.
const ENTROPY_MIN: f64 = 3.4;
const ENTROPY_MIN_SHORT: f64 = 2.9;

/// Words of placeholders and of the examples in issuers' documentation.
const PLACEHOLDERS: &[&str] = &[
    "example",
    "xxxx",
    "your",
    "placeholder",
    "dummy",
    "sample",
    "redacted",
    "token",
    "secret",
    "1234567",
    "abcdef",
    "0000",
];

/// Whether `text` holds the beginning of any credential at all.
pub(super) fn may_hold(text: &str) -> bool {
    let bytes = text.as_bytes();
    memmem::find(bytes, b"-----BEGIN ").is_some()
        || memmem::find(bytes, b"eyJ").is_some()
        || TOKENS.iter().any(|t| memmem::find(bytes, t.prefix.as_bytes()).is_some())
}

/// At most `max` credentials in `text`.
pub(super) fn find(text: &str, max: usize) -> Vec<Secret> {
    let mut out = Vec::new();
    let mut seen = Vec::new();
    for token in TOKENS {
        for at in memmem::find_iter(text.as_bytes(), token.prefix).take(10_000) {
            if out.len() >= max {
                return out;
            }
            if !seen.contains(&at) && at_boundary(text, at) && token.fits(text.get(at..).unwrap_or_default()) {
                seen.push(at);
                let length = token.prefix.len() + token.body_of(text.get(at..).unwrap_or_default()).len();
                let redacted = format!("`{}…` of {length} characters", token.prefix.get(..4).unwrap_or(token.prefix));
                out.push(Secret { rule: &rules::SECRET, kind: token.kind, redacted });
            }
        }
    }
    private_keys(text, max, &mut out);
    web_tokens(text, max, &mut out);
    out
}

impl Token {
    /// The run of its alphabet behind the prefix.
    fn body_of<'t>(&self, text: &'t str) -> &'t str {
        let rest = text.get(self.prefix.len()..).unwrap_or_default();
        let len = rest.bytes().take(*self.body.end() + 1).take_while(|b| self.alphabet.holds(*b)).count();
        rest.get(..len).unwrap_or_default()
    }

    fn fits(&self, text: &str) -> bool {
        let body = self.body_of(text);
        let short = matches!(self.alphabet, Alphabet::Base32);
        self.body.contains(&body.len())
            && entropy(body) >= if short { ENTROPY_MIN_SHORT } else { ENTROPY_MIN }
            && (short || body.bytes().any(|b| b.is_ascii_digit()) && body.bytes().any(|b| b.is_ascii_alphabetic()))
            && !is_placeholder(body)
            && !text
                .as_bytes()
                .get(self.prefix.len() + body.len())
                .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
    }
}

impl Alphabet {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Base32 => byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte),
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
        }
    }
}

/// Whether a word could begin at `at`: `task-` holds no `sk-`.
fn at_boundary(text: &str, at: usize) -> bool {
    !text
        .get(..at)
        .and_then(|t| t.bytes().next_back())
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_placeholder(body: &str) -> bool {
    let lower = body.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|p| lower.contains(p))
}

/// Shannon entropy of the bytes, bits per byte.
#[expect(clippy::cast_precision_loss, reason = "lengths of tokens are far below 2^52")]
fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let len = text.len() as f64;
    counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / len).map(|p| -p * p.log2()).sum()
}

/// PEM blocks (RFC 7468) with a body: a label alone is documentation.
fn private_keys(text: &str, max: usize, out: &mut Vec<Secret>) {
    for at in memmem::find_iter(text.as_bytes(), "-----BEGIN ").take(1_000) {
        let after = text.get(at + 11..).unwrap_or_default();
        let label: String = after.chars().take(40).take_while(|c| *c != '-').collect();
        let rest = after.get(label.len() + 5..).unwrap_or_default();
        if !PRIVATE_KEYS.contains(&label.as_str()) || out.len() >= max {
            continue;
        }
        // Line breaks may have become `\n` in words.
        let body: String =
            rest.chars().take(400).take_while(|c| *c != '-').filter(|c| !c.is_whitespace() && *c != '\\').collect();
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        if body.chars().filter(|c| base64(*c)).count() >= PEM_BODY_MIN && !body.contains("...") && entropy(&body) > 4.0
        {
            out.push(Secret {
                rule: &rules::SECRET,
                kind: "private key",
                redacted: format!("`-----BEGIN {label}-----`"),
            });
        }
    }
}

/// JSON web tokens (RFC 7519): three parts, the first a header with `alg`.
fn web_tokens(text: &str, max: usize, out: &mut Vec<Secret>) {
    let mut next = 0;
    for at in memmem::find_iter(text.as_bytes(), "eyJ").take(1_000) {
        if at < next || out.len() >= max || !at_boundary(text, at) {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let len = rest.bytes().take(8192).take_while(|b| Alphabet::Url.holds(*b) || *b == b'.').count();
        next = at + len;
        let parts: Vec<&str> = rest.get(..len).unwrap_or_default().split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { continue };
        let decoded = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
        if memmem::find(&decoded, b"\"alg\"").is_some() && payload.starts_with("eyJ") && signature.len() >= 20 {
            let redacted = format!("`eyJ…` of {len} characters");
            out.push(Secret { rule: &rules::WEB_TOKEN, kind: "JSON web token", redacted });
        }
    }
}
