//! Extended attributes that downloaders leave (freedesktop.org, "Common
//! Extended Attributes"): wget and curl with `--xattr`, some browsers.

use weighbridge_types::{Claim, Strength};

use super::{address, claim};

/// Attributes worth reading.
pub const ATTRIBUTES: &[&str] = &["user.xdg.origin.url", "user.xdg.referrer.url"];
/// Longest value read, bytes.
pub const VALUE_BYTES_MAX: usize = 4096;

/// The claim of the attributes of one file, by name.
#[must_use]
pub fn claims(attributes: &[(String, Vec<u8>)]) -> Option<Claim> {
    let value = |name: &str| {
        let (_, value) = attributes.iter().find(|(n, v)| n == name && v.len() <= VALUE_BYTES_MAX)?;
        address::url(std::str::from_utf8(value).ok()?.trim_end_matches('\0'))
    };
    let origin = value("user.xdg.origin.url");
    let referrer = value("user.xdg.referrer.url");
    let detail = match (&origin, &referrer) {
        (Some(_), Some(referrer)) => format!("an extended attribute of the file; found on the page {referrer}"),
        (Some(_), None) => "an extended attribute of the file".to_owned(),
        (None, Some(_)) => "an extended attribute of the file names only the page it was found on".to_owned(),
        (None, None) => return None,
    };
    let url = origin.or(referrer)?;
    Some(Claim { purl: address::purl_of(&url, None), url: Some(url), ..claim(Strength::Hint, "xattr", detail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_addresses_lose_their_signature() {
        let url = b"https://user:pw@huggingface.co/o/n/resolve/main/m.gguf?Signature=SECRET".to_vec();
        let found = claims(&[("user.xdg.origin.url".to_owned(), url)]).unwrap();
        assert_eq!(found.url.as_deref(), Some("https://huggingface.co/o/n/resolve/main/m.gguf"));
        assert_eq!(found.purl.as_deref(), Some("pkg:huggingface/o/n"));
        assert_eq!(claims(&[("user.xdg.origin.url".to_owned(), b"about:blank".to_vec())]), None);
        assert_eq!(claims(&[]), None);
    }
}
