//! Addresses and names from strangers, made fit to be shown and compared.

use weighbridge_types::Shown;

use crate::purl;

/// Longest address shown, characters.
const URL_CHARS_MAX: usize = 512;
/// Longest other text shown, characters.
const TEXT_CHARS_MAX: usize = 200;
/// Longest part of a repository's name the hub takes.
const NAME_BYTES_MAX: usize = 96;
/// Schemes that fetch files.
const SCHEMES: &[&str] = &["https", "http", "ssh", "git", "ftp", "ftps", "s3", "gs", "hf", "oci"];

/// Text with hidden characters escaped, cut at a limit.
pub fn text(text: &str) -> String {
    bounded(text, TEXT_CHARS_MAX)
}

fn bounded(text: &str, max: usize) -> String {
    let shown: String = Shown(text).to_string();
    if shown.chars().count() <= max {
        return shown;
    }
    shown.chars().take(max).chain(['…']).collect()
}

/// The address without what may be secret in it: user, password, query (which
/// holds the signatures of signed downloads) and fragment. `None` if it is no
/// address that files are fetched from.
pub fn url(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest.to_owned()),
        None => ("ssh".to_owned(), scp_like(text)?),
    };
    if !SCHEMES.contains(&scheme.as_str()) || rest.contains('\\') {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // A password with a slash in it ends the authority early; what looks like
    // its rest is not shown.
    if !is_host(host) || host.contains(':') && path.contains('@') {
        return None;
    }
    Some(bounded(&format!("{scheme}://{}{path}", host.to_ascii_lowercase()), URL_CHARS_MAX))
}

/// `git@host:org/name.git` as `host/org/name.git`.
fn scp_like(text: &str) -> Option<String> {
    let (host, path) = text.split_once(':')?;
    let host = host.rsplit_once('@').map(|(_, host)| host)?;
    (!path.is_empty()).then(|| format!("{host}/{}", path.trim_start_matches('/')))
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((v6, after)) if v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.') => {
            return !v6.is_empty() && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port));
        }
        Some(_) => return false,
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// `org/name` or `name`, if the hub would take it as a repository's.
pub fn repository(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let good = |part: &&str| {
        !part.is_empty()
            && part.len() <= NAME_BYTES_MAX
            && !part.starts_with(['.', '-'])
            && !part.contains("..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    (parts.len() <= 2 && parts.iter().all(good)).then(|| text.to_owned())
}

/// The package URL of what lies at a sanitised address, where its host is one
/// whose addresses name repositories.
pub fn purl_of(url: &str, revision: Option<&str>) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    let mut parts = path.trim_end_matches('/').split('/');
    let (org, name) = (parts.next()?, parts.next()?);
    let id = format!("{org}/{}", name.strip_suffix(".git").unwrap_or(name));
    let id = repository(&id)?;
    match host {
        "huggingface.co" | "hf.co" | "www.huggingface.co" if !matches!(org, "datasets" | "spaces" | "api") => {
            // `resolve/<commit>/<file>` says the revision itself.
            let named = match (parts.next(), parts.next()) {
                (Some("resolve" | "blob" | "tree" | "raw"), Some(commit)) if super::is_hex(commit, 40) => Some(commit),
                _ => None,
            };
            Some(purl::huggingface(&id, revision.or(named)))
        }
        "github.com" => Some(purl::generic("github", &id.to_ascii_lowercase(), revision)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_never_shown() {
        for (given, shown) in [
            ("https://user:hf_SECRET@huggingface.co/org/name", Some("https://huggingface.co/org/name")),
            ("https://SECRET@HOST.example/x", Some("https://host.example/x")),
            ("https://h.example/x?X-Amz-Signature=SECRET#SECRET", Some("https://h.example/x")),
            ("git@github.com:org/name.git", Some("ssh://github.com/org/name.git")),
            ("https://u:SE@CRET@h.example/x", Some("https://h.example/x")),
            ("https://u:SEC/RET@h.example/x", None),
            ("https://u:12/RET@h.example/x", None),
            ("https://u:SEC#RET@h.example/x", None),
            ("https://u:SEC\\RET@h.example/x", None),
            ("https://[::1]:8080/x", Some("https://[::1]:8080/x")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("/local/path", None),
            ("", None),
        ] {
            let got = url(given);
            assert_eq!(got.as_deref(), shown, "{given}");
            assert!(!got.unwrap_or_default().contains("SECRET"));
        }
    }

    #[test]
    fn hidden_characters_are_escaped_and_length_is_bounded() {
        assert_eq!(url("https://h.example/a\u{1b}[2J").as_deref(), Some("https://h.example/a\\u{1b}[2J"));
        assert!(url(&format!("https://h.example/{}", "a".repeat(5000))).is_some_and(|u| u.chars().count() <= 513));
        assert_eq!(text("a\nb"), "a\\nb");
    }

    #[test]
    fn hubs_give_package_urls() {
        let commit = "0".repeat(40);
        for (address, purl) in [
            ("https://huggingface.co/Org/Name", Some("pkg:huggingface/Org/Name".to_owned())),
            ("https://hf.co/Org/Name.git", Some("pkg:huggingface/Org/Name".to_owned())),
            (
                &format!("https://huggingface.co/Org/Name/resolve/{commit}/m.gguf"),
                Some(format!("pkg:huggingface/Org/Name@{commit}")),
            ),
            ("https://huggingface.co/datasets/Org", None),
            ("ssh://github.com/Org/Name.git", Some("pkg:github/org/name".to_owned())),
            ("https://example.com/Org/Name", None),
            ("https://huggingface.co/../x", None),
        ] {
            assert_eq!(purl_of(address, None), purl, "{address}");
        }
    }
}
