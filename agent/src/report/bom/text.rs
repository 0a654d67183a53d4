//! Hostile text, made fit for documents that other programs trust.

use weighbridge_types::Shown;

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 512;
/// Longest explanation, in characters.
pub const TEXT_CHARS_MAX: usize = 4096;
/// Longest path, in characters: twice what Linux opens.
pub const PATH_CHARS_MAX: usize = 8192;
/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// Addresses of other schemes are not passed on as addresses.
const SCHEMES: &[&str] = &["https", "http", "git", "git+https", "git+ssh", "ssh", "oci", "hf", "s3", "gs"];

/// `raw` with control and invisible characters escaped, cut to `max`
/// characters.
pub fn text(raw: &str, max: usize) -> String {
    let head: String = raw.chars().take(max + 1).collect();
    let shown = Shown(&head).to_string();
    if shown.chars().count() <= max {
        return shown;
    }
    let mut cut: String = shown.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `raw` as an address (RFC 3986), if it is one. Credentials, query and
/// fragment are dropped: addresses of downloads carry access tokens there.
pub fn url(raw: &str) -> Option<String> {
    if raw.len() > URL_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = raw.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !SCHEMES.contains(&scheme.as_str()) {
        return None;
    }
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let rest = rest.get(..end)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
    let host_is_good = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let port_is_good = port.is_none_or(|p| p.parse::<u16>().is_ok() && p.bytes().all(|b| b.is_ascii_digit()));
    if !host_is_good || !port_is_good {
        return None;
    }
    Some(format!("{scheme}://{authority}{}", encoded_path(path)?))
}

/// As [`url`], with the query: for pages that are published.
pub fn page_url(raw: &str) -> Option<String> {
    let address = url(raw)?;
    let query = raw.split('#').next().and_then(|r| r.split_once('?')).map(|(_, query)| encoded_path(query));
    match query {
        None => Some(address),
        Some(query) => Some(format!("{address}?{}", query?)),
    }
}

/// A path of an address with what lies beyond ASCII percent-encoded; nothing
/// if it holds what no address holds.
fn encoded_path(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (a, b) = (bytes.next()?, bytes.next()?);
                if !(a.is_ascii_hexdigit() && b.is_ascii_hexdigit()) {
                    return None;
                }
                out.extend(['%', char::from(a), char::from(b)]);
            }
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) => out.push(char::from(byte)),
            0x80.. => out.push_str(&format!("%{byte:02X}")),
            _ => return None,
        }
    }
    Some(out)
}

/// `raw` if it is a package URL (ECMA-427) in form.
pub fn purl(raw: &str) -> Option<&str> {
    let rest = raw.strip_prefix("pkg:")?;
    let (kind, name) = rest.split_once('/')?;
    let kind_is_good = kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".+-".contains(&b));
    let path = name.split(['@', '?', '#']).next().unwrap_or_default();
    let name_is_good = !path.is_empty() && !path.split('/').any(|s| s.is_empty() || s == "." || s == "..");
    let mut bytes = name.bytes();
    let mut all_good = true;
    while let Some(b) = bytes.next() {
        all_good &= match b {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|h| h.is_ascii_hexdigit())),
            _ => b.is_ascii_alphanumeric() || b"-._~:@/?=&#+,".contains(&b),
        };
    }
    (raw.len() <= 1024 && kind_is_good && name_is_good && all_good).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_cut() {
        assert_eq!(text("a\0b", 9), "a\\u{0}b");
        assert_eq!(text("abcdef", 4), "abc…");
        assert_eq!(text("\0\0", 8), "\\u{0}\\u…");
    }

    #[test]
    fn addresses_are_passed_on_without_secrets_or_not_at_all() {
        for (raw, expected) in [
            ("https://example.com", Some("https://example.com")),
            ("HTTPS://user:p@example.com:8443/a%20b?t=1#f", Some("https://example.com:8443/a%20b")),
            ("https://example.com/模", Some("https://example.com/%E6%A8%A1")),
            ("https://example.com?token=1", Some("https://example.com")),
            ("https://", None),
            ("https://exa mple.com/", None),
            ("https://example.com:port/", None),
            ("https://example.com:+80/", None),
            ("https://example.com/a b", None),
            ("https://example.com/%zz", None),
            ("https://example.com/\u{1b}", None),
            ("javascript:alert(1)", None),
            ("javascript://x/%0aalert(1)", None),
            ("file:///etc/passwd", None),
            ("no address", None),
        ] {
            assert_eq!(url(raw).as_deref(), expected, "{raw}");
        }
        assert_eq!(page_url("https://a.b/c?d=1#e").as_deref(), Some("https://a.b/c?d=1"));
        assert_eq!(page_url("https://a.b/c?d= 1"), None);
    }

    #[test]
    fn package_urls_are_held_to_their_form() {
        for good in ["pkg:huggingface/Org/Name@abc", "pkg:oci/a%20b?repository_url=ghcr.io/x", "pkg:ollama/llama3@8b"] {
            assert_eq!(purl(good), Some(good));
        }
        for bad in [
            "pkg:huggingface/",
            "pkg:/x",
            "pkg:a//b",
            "pkg:a/../b",
            "pkg:a/b c",
            "pkg:a/%4",
            "pkg:A/b",
            "x",
            "pkg:a/b\n",
        ] {
            assert_eq!(purl(bad), None, "{bad:?}");
        }
    }
}
