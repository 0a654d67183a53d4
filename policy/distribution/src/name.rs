//! Names of files in a bundle.

/// Longest name, with its folders.
const NAME_BYTES_MAX: usize = 512;
/// Longest part of a name. File systems take 255, and a digest of 64 digits, a
/// dot and the mark of a temporary file stand before it.
const PART_BYTES_MAX: usize = 160;
/// Folders in folders.
const PARTS_MAX: usize = 16;

/// Why `name` may not be the name of a file in a bundle, if so.
///
/// Narrower than file systems need: a name must be the same in a URL, in JSON
/// and on every disk, and stay inside the folder it is joined to.
pub fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the name is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return Some("the name is longer than 512 bytes");
    }
    if name.starts_with('/') {
        return Some("the name is absolute");
    }
    if name.split('/').count() > PARTS_MAX {
        return Some("the name has more than 16 parts");
    }
    name.split('/').find_map(part_fault)
}

fn part_fault(part: &str) -> Option<&'static str> {
    match part {
        "" => Some("a part of the name is empty"),
        "." | ".." => Some("the name leaves its folder (`.` or `..`)"),
        _ if part.len() > PART_BYTES_MAX => Some("a part of the name is longer than 160 bytes"),
        _ if !part.bytes().all(is_plain) => {
            Some("the name holds something else than ASCII letters, digits and `. _ - + = @ , ~`")
        }
        _ => None,
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+=@,~".contains(&byte)
}

/// A name that is also a folder of another.
pub fn collision<'a>(names: &[&'a str]) -> Option<&'a str> {
    let all: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    names.iter().copied().find_map(|name| {
        name.match_indices('/').filter_map(|(at, _)| name.get(..at)).find(|folder| all.contains(folder))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass() {
        for name in ["policy.toml", "a/b/c.json", ".hidden", "a..b", "...", "x-1_2+3=4@5,6~", &"a/".repeat(15), "a"] {
            let name = name.trim_end_matches('/');
            assert_eq!(fault(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_leave_the_folder_or_mean_two_things_do_not() {
        let long = "a".repeat(161);
        let deep = "a/".repeat(17);
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            "a\nb",
            "a b",
            "a#b",
            "a?b",
            "a%2fb",
            "a:b",
            "é",
            "\u{202e}a",
            &long,
            &deep,
        ] {
            assert!(fault(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn a_file_is_no_folder() {
        assert_eq!(collision(&["a", "a/b"]), Some("a"));
        assert_eq!(collision(&["a-", "a/b/c", "a/b"]), Some("a/b"));
        assert_eq!(collision(&["a", "ab", "a.b/c"]), None);
    }
}
