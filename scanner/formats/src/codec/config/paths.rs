//! Paths that configurations name.

/// Why `path`, written relative to the file that names it, does not stay in
/// that file's folder, if it does not. Dots inside names (`a..b`) stay.
#[must_use]
pub fn leaves_folder(path: &str) -> Option<&'static str> {
    if path.split(['/', '\\']).any(|part| part == "..") {
        Some("leads out of its folder")
    } else if path.starts_with(['/', '\\', '~']) || path.get(1..2) == Some(":") {
        Some("is an absolute path")
    } else if path.contains("://") {
        Some("is a URL")
    } else if path.contains('\0') {
        Some("holds a NUL")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_dots_in_names_stay() {
        assert_eq!(leaves_folder("a..b/c.bin"), None);
        assert_eq!(leaves_folder("a/../../b"), Some("leads out of its folder"));
        assert_eq!(leaves_folder("/etc/passwd"), Some("is an absolute path"));
        assert_eq!(leaves_folder("c:\\x"), Some("is an absolute path"));
    }
}
