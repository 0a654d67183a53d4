//! File names that models write down to be opened beside themselves.

/// Longest name a file system takes, bytes (Linux `PATH_MAX`).
const LOCATION_BYTES_MAX: usize = 4096;

/// Where a name that should lie in the model's own folder points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Into the model's folder.
    Inside,
    /// No honest writer makes it, but what it opens depends on the loader.
    Odd(&'static str),
    /// Out of the model's folder, for some loader on some system.
    Outside(&'static str),
}

/// Judges `location` as Linux, macOS and Windows would read it.
#[must_use]
pub fn reach(location: &str) -> Reach {
    let bytes = location.as_bytes();
    let lower = location.to_ascii_lowercase();
    let mut parts = location.split(['/', '\\']);
    if location.is_empty() {
        Reach::Odd("empty")
    } else if bytes.contains(&0) {
        Reach::Outside("holds a NUL, which C ends the name at")
    } else if bytes.starts_with(b"\\\\") || bytes.starts_with(b"//") {
        Reach::Outside("a network share")
    } else if bytes.starts_with(b"/") || bytes.starts_with(b"\\") {
        Reach::Outside("an absolute path")
    } else if location.contains("://") || lower.starts_with("file:") || lower.starts_with("data:") {
        Reach::Outside("a URL")
    } else if matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic()) {
        Reach::Outside("a path on a drive")
    } else if parts.clone().any(is_parent) {
        Reach::Outside("climbs out with `..`")
    } else if location.contains("%2e") || location.contains("%2E") || lower.contains("%2f") || lower.contains("%5c") {
        Reach::Odd("a path in percent encoding")
    } else if location.starts_with('~') || location.contains('$') || lower.contains("%userprofile%") {
        Reach::Odd("a home folder or environment variable")
    } else if location.contains('\\') {
        Reach::Odd("a backslash: a folder on Windows only")
    } else if location.contains(':') || parts.any(|part| part.ends_with(['.', ' ']) && part != ".") {
        Reach::Odd("names another file on Windows")
    } else if location.len() > LOCATION_BYTES_MAX || location.chars().any(char::is_control) {
        Reach::Odd("longer than any path, or with control characters")
    } else {
        Reach::Inside
    }
}

/// `..`, also as Windows takes it: with trailing dots and spaces dropped.
fn is_parent(part: &str) -> bool {
    part.starts_with("..") && part.trim_end_matches(['.', ' ']).is_empty() && (part == ".." || part.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out_are_found() {
        for out in [
            "../a",
            "a/../b",
            "a\\..\\b",
            "..",
            ".. /a",
            "/etc/hostname",
            "\\a",
            "\\\\host\\share",
            "//host/a",
            "C:\\a",
            "C:a",
            "https://example.invalid/a",
            "FILE:///a",
            "a\0/../b",
        ] {
            assert!(matches!(reach(out), Reach::Outside(_)), "{out:?}");
        }
        for odd in ["", "%2e%2e/a", "~/a", "$HOME/a", "a\\b", "abc:d", "a.", "a\nb"] {
            assert!(matches!(reach(odd), Reach::Odd(_)), "{odd:?}");
        }
        for inside in
            ["model.onnx.data", "data/weights.bin", "./w.bin", "a..b", ".hidden", "layer...weight", "Gewichte ü.bin"]
        {
            assert_eq!(reach(inside), Reach::Inside, "{inside:?}");
        }
    }
}
