/// How far a path in a model file reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::formats) enum Reach {
    /// A file beside this one, or below.
    Beside,
    /// An absolute path, a way up, or another machine.
    Outside,
}

/// How far `path` reaches. Windows paths count on any system: the file may be
/// loaded on another.
pub(in crate::formats) fn reach(path: &str) -> Reach {
    let windows = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let outside = path.starts_with(['/', '\\', '~'])
        || windows
        || path.contains("://")
        || path.contains('\0')
        || path.contains('$')
        || path.contains('%') && path.matches('%').count() > 1
        || path.split(['/', '\\']).any(|part| part == "..");
    if outside { Reach::Outside } else { Reach::Beside }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out_of_the_folder_are_seen() {
        for path in [
            "/etc/passwd",
            "a/../../b",
            "..\\x",
            "C:\\x",
            "\\\\host\\share",
            "http://h/v",
            "gs://b/v",
            "~/x",
            "$HOME/x",
        ] {
            assert_eq!(reach(path), Reach::Outside, "{path}");
        }
        for path in ["vocab.txt", "assets/vocab.txt", "a..b", "50%.txt"] {
            assert_eq!(reach(path), Reach::Beside, "{path}");
        }
    }
}
