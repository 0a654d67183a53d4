//! LM Studio: `…/.lmstudio/models/<publisher>/<repository>/<file>`, in older
//! releases below `.cache/lm-studio/models`.

use weighbridge_types::{Claim, Strength};

use super::address;
use crate::purl;

/// Where models lie below a home folder.
const FOLDERS: &[&str] = &["/.lmstudio/models/", "/.cache/lm-studio/models/"];

/// The claim that a path makes.
pub fn claim_of(path: &str) -> Option<(String, String)> {
    let rest = FOLDERS.iter().find_map(|folder| path.rsplit_once(folder).map(|(_, rest)| rest))?;
    let mut parts = rest.splitn(3, '/');
    let (publisher, repository) = (parts.next()?, parts.next()?);
    parts.next().filter(|file| !file.is_empty())?;
    let id = address::repository(&format!("{publisher}/{repository}"))?;
    Some((id.clone(), purl::huggingface(&id, None)))
}

/// A hint: users may file models of their own there.
pub fn claim(path: &str) -> Option<Claim> {
    let (id, purl) = claim_of(path)?;
    let detail = format!("LM Studio keeps it as `{id}`; users may file models there themselves");
    Some(Claim { purl: Some(purl), ..super::claim(Strength::Hint, "lm-studio", detail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publisher_and_repository_are_folders() {
        assert_eq!(claim_of("/h/.lmstudio/models/Org/Name-GGUF/m.gguf").unwrap().1, "pkg:huggingface/Org/Name-GGUF");
        assert!(claim_of("/h/.cache/lm-studio/models/o/n/sub/m.gguf").is_some());
        for path in ["/h/.lmstudio/models/m.gguf", "/h/.lmstudio/models/o/m.gguf", "/h/models/o/n/m.gguf", ""] {
            assert_eq!(claim_of(path), None, "{path}");
        }
    }
}
