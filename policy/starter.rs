//! A first policy repository.

use std::fs;
use std::io;
use std::path::Path;

use crate::set::SCHEMA_TEXT;

/// Files and what they hold.
const FILES: &[(&str, &str)] = &[
    ("schema.cedarschema", SCHEMA_TEXT),
    ("README.md", include_str!("starter/README.md")),
    ("policies/baseline.cedar", include_str!("starter/policies/baseline.cedar")),
    ("policies/publishers.cedar", include_str!("starter/policies/publishers.cedar")),
    ("policies/use.cedar", include_str!("starter/policies/use.cedar")),
    ("data/approvals.yaml", include_str!("starter/data/approvals.yaml")),
    ("data/exceptions.yaml", include_str!("starter/data/exceptions.yaml")),
    ("data/groups.yaml", include_str!("starter/data/groups.yaml")),
    ("data/licences.yaml", include_str!("starter/data/licences.yaml")),
    ("data/providers.yaml", include_str!("starter/data/providers.yaml")),
    ("data/publishers.yaml", include_str!("starter/data/publishers.yaml")),
    ("fleet/teams.yaml", include_str!("starter/fleet/teams.yaml")),
    ("tests/baseline.yaml", include_str!("starter/tests/baseline.yaml")),
    (".github/workflows/weighbridge.yml", include_str!("starter/.github/workflows/weighbridge.yml")),
];

/// Writes the starter repository into `folder`, which must be empty or not
/// there; a `.git` in it is fine. Returns the files written.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is anything else in it.
pub fn init(folder: &Path) -> io::Result<Vec<&'static str>> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != ".git" {
            let message = format!("it holds `{}` already; nothing was written", name.to_string_lossy());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
    }
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
    }
    Ok(FILES.iter().map(|(name, _)| *name).collect())
}
