//! The authority's key and certificate on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::AuthorityError;

const KEY: &str = "authority.key";
const CERTIFICATE: &str = "authority.pem";
/// Largest file read; ours have some hundred bytes.
const BYTES_MAX: u64 = 64 << 10;

/// Key and certificate, PEM; none where there is no authority yet.
pub fn read(folder: &Path) -> Result<Option<(String, String)>, AuthorityError> {
    let Some(key) = text(folder, KEY)? else { return Ok(None) };
    // The key is written last: one that is there has its certificate.
    let certificate = text(folder, CERTIFICATE)?.ok_or_else(|| AuthorityError::Damaged {
        path: folder.to_owned(),
        reason: format!("`{KEY}` is there and `{CERTIFICATE}` is not"),
    })?;
    Ok(Some((key, certificate)))
}

/// Keeps both; the key for the owner alone.
pub fn write(folder: &Path, key: &str, certificate: &str) -> Result<(), AuthorityError> {
    let failure = |action, path: &Path| {
        let path = path.to_owned();
        move |source| AuthorityError::File { action, path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failure("make", folder))?;
    for (name, content, mode) in [(CERTIFICATE, certificate, 0o644), (KEY, key, 0o600)] {
        let path = folder.join(name);
        whole(&path, content, mode).map_err(failure("write", &path))?;
    }
    File::open(folder).and_then(|f| f.sync_all()).map_err(failure("write", folder))
}

/// Whole or not at all, also where the power fails.
fn whole(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

fn text(folder: &Path, name: &str) -> Result<Option<String>, AuthorityError> {
    let path = folder.join(name);
    let mut content = String::new();
    match File::open(&path).and_then(|f| f.take(BYTES_MAX).read_to_string(&mut content)) {
        Ok(_) => Ok(Some(content)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AuthorityError::File { action: "read", path, source }),
    }
}
