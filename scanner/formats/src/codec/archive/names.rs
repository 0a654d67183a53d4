//! Member names and link targets that lead out of the folder an archive is
//! unpacked into (CWE-22, "zip slip").

/// How a name leads out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// More `..` than folders before them.
    Parent,
    /// Starts at the root.
    Absolute,
    /// Starts at a Windows drive.
    Drive,
    /// Names a server: `\\host\share`.
    Unc,
}

impl Escape {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parent => "leads above the folder with `..`",
            Self::Absolute => "is an absolute path",
            Self::Drive => "starts at a drive",
            Self::Unc => "names a server",
        }
    }
}

/// How the member name `name` leads out, if it does. Both separators count,
/// since archives are unpacked on Windows too.
#[must_use]
pub fn escape(name: &str) -> Option<Escape> {
    resolve("", name)
}

/// How the link `target`, found in the member `name`, leads out.
#[must_use]
pub fn link_escape(name: &str, target: &str) -> Option<Escape> {
    let folder = name.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
    resolve(folder, target)
}

fn resolve(folder: &str, path: &str) -> Option<Escape> {
    if path.starts_with("\\\\") || path.starts_with("//") {
        return Some(Escape::Unc);
    }
    if path.starts_with(['/', '\\']) {
        return Some(Escape::Absolute);
    }
    if let [letter, b':', b'/' | b'\\', ..] = path.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return Some(Escape::Drive);
    }
    let mut depth = 0u32;
    for part in folder.split('/').chain(path.split(['/', '\\'])) {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return Some(Escape::Parent),
            },
            _ => depth = depth.saturating_add(1),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_told_from_those_that_do_not() {
        for (name, expected) in [
            ("../x", Some(Escape::Parent)),
            ("a/../../x", Some(Escape::Parent)),
            ("..\\x", Some(Escape::Parent)),
            ("a\\..\\..\\x", Some(Escape::Parent)),
            ("/etc/passwd", Some(Escape::Absolute)),
            ("\\x", Some(Escape::Absolute)),
            ("C:\\x", Some(Escape::Drive)),
            ("\\\\host\\share", Some(Escape::Unc)),
            ("//host/share", Some(Escape::Unc)),
            ("./a/../b", None),
            ("a/b..c/..d", None),
            ("a:b", None),
            ("", None),
        ] {
            assert_eq!(escape(name), expected, "{name}");
        }
    }

    #[test]
    fn links_are_resolved_from_where_they_stand() {
        assert_eq!(link_escape("a/b/link", "../../x"), None);
        assert_eq!(link_escape("a/b/link", "../../../x"), Some(Escape::Parent));
        assert_eq!(link_escape("link", "/etc/passwd"), Some(Escape::Absolute));
        assert_eq!(link_escape("Versions/Current", "A"), None);
    }
}
