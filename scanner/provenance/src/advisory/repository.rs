//! Repositories of models by name: `huggingface.co/org/name`, lower case,
//! since hubs hold no two names that differ in case only.

/// Host of repositories that are named without one.
const HUB: &str = "huggingface.co";

/// Of `https://huggingface.co/org/name/resolve/…`.
pub(super) fn of_url(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next()?;
    let mut parts = rest.split('/').filter(|p| !p.is_empty());
    let host = parts.next()?.to_ascii_lowercase();
    let host = if host == "hf.co" || host == "www.huggingface.co" { HUB.to_owned() } else { host };
    let (owner, name) = (parts.next()?, parts.next()?);
    Some(format!("{host}/{owner}/{}", name.strip_suffix(".git").unwrap_or(name)).to_ascii_lowercase())
}

/// Of a package URL, with its version: `pkg:huggingface/org/name@commit`.
pub(super) fn of_purl(purl: &str) -> Option<(String, Option<String>)> {
    let rest = purl.strip_prefix("pkg:")?.split(['?', '#']).next()?;
    let (path, version) = rest.rsplit_once('@').map_or((rest, None), |(p, v)| (p, Some(decoded(v))));
    let path = decoded(path).to_ascii_lowercase();
    let path = path.strip_prefix("huggingface/").map_or(path.clone(), |p| format!("{HUB}/{p}"));
    Some((path, version))
}

/// A pattern with its host; `org/*` is one of the hub's.
pub(super) fn pattern(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let named = text.split('/').count() > 2 || text.split('/').next().is_some_and(|host| host.contains('.'));
    if named { text.to_ascii_lowercase() } else { format!("{HUB}/{text}").to_ascii_lowercase() }
}

/// What a pattern is found under: `host/owner/name`, `host/owner` if only the
/// name is a pattern, nothing if the owner is one.
pub(super) fn index_key(text: &str) -> Option<String> {
    let pattern = pattern(text);
    if !pattern.contains('*') {
        return Some(pattern);
    }
    let mut parts = pattern.split('/');
    let (host, owner) = (parts.next()?, parts.next()?);
    (!host.contains('*') && !owner.contains('*')).then(|| format!("{host}/{owner}"))
}

/// `host/owner` of `host/owner/name`.
pub(super) fn owner(repository: &str) -> Option<&str> {
    repository.match_indices('/').nth(1).and_then(|(end, _)| repository.get(..end))
}

/// Whether `pattern` (see [`pattern`]) stands for `repository`. A `*` is any
/// text without `/`. Linear but for the last `*` of each component.
pub(super) fn matches(pattern: &str, repository: &str) -> bool {
    let (a, b) = (pattern.split('/'), repository.split('/'));
    a.clone().count() == b.clone().count() && a.zip(b).all(|(p, t)| component(p, t))
}

fn component(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.split_once(piece) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        if byte == b'%'
            && let (Some(high), Some(low)) = digits
        {
            out.push(high << 4 | low);
            bytes = ahead;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_name() {
        let name = Some("huggingface.co/org/na me".to_owned());
        assert_eq!(of_purl("pkg:huggingface/Org/Na%20me@ABC").map(|p| p.0), name);
        assert_eq!(of_purl("pkg:huggingface/Org/Na%20me@ABC").and_then(|p| p.1), Some("ABC".to_owned()));
        assert_eq!(
            of_url("https://hf.co/Org/Name/resolve/main/x?download"),
            Some("huggingface.co/org/name".to_owned())
        );
        assert_eq!(of_url("huggingface.co/org"), None);
        assert_eq!(pattern("Org/*"), "huggingface.co/org/*");
        assert_eq!(index_key("org/x*"), Some("huggingface.co/org".to_owned()));
        assert_eq!(index_key("*/x"), None);
        assert_eq!(owner("huggingface.co/org/name"), Some("huggingface.co/org"));
    }

    #[test]
    fn a_star_stays_in_its_component() {
        for (p, t, expected) in [
            ("h/o/*", "h/o/n", true),
            ("h/o/*", "h/o/n/m", false),
            ("h/*", "h/o/n", false),
            ("h/o/a*c", "h/o/abc", true),
            ("h/o/a*b*c", "h/o/a-b-c", true),
            ("h/o/a*b*c", "h/o/acb", false),
            ("h/o/ab*b", "h/o/ab", false),
        ] {
            assert_eq!(matches(p, t), expected, "{p} {t}");
        }
    }
}
