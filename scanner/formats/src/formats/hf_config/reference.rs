//! How Hugging Face libraries name classes in files: `modeling_x.Model` beside
//! the configuration, `org/name--modeling_x.Model` in another repository.

/// A class named in a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    /// In a Python file of the same repository.
    Local {
        /// The file, relative to the repository.
        file: String,
    },
    /// In a Python file of another repository.
    Remote {
        /// `org/name` or `name`.
        repository: &'a str,
    },
    /// Not what any library writes: leads out of the repository, or is no name.
    Outside(&'static str),
}

/// Longest reference; the longest class names stay below a hundred.
const REFERENCE_MAX: usize = 512;

/// Reads one reference (`transformers.dynamic_module_utils`).
pub(super) fn parse(text: &str) -> Reference<'_> {
    if text.len() > REFERENCE_MAX {
        return Reference::Outside("is far longer than a name");
    }
    let (repository, module) = match text.split_once("--") {
        Some((repository, module)) => (Some(repository), module),
        None => (None, text),
    };
    if let Some(why) = repository.and_then(names_a_place).or_else(|| names_a_place(module)) {
        return Reference::Outside(why);
    }
    if !module.split('.').all(is_part) {
        return Reference::Outside("is not the name of a class in a module");
    }
    match repository {
        Some(repository) if is_repository(repository) => Reference::Remote { repository },
        Some(_) => Reference::Outside("names something that is no repository"),
        None if module.contains('/') => Reference::Outside("holds a path separator"),
        None => {
            let path = module.rsplit_once('.').map_or(module, |(path, _)| path);
            Reference::Local { file: format!("{}.py", path.replace('.', "/")) }
        }
    }
}

/// Why `text` is a place on a machine or network, not a name, if it is.
fn names_a_place(text: &str) -> Option<&'static str> {
    if text.contains("..") {
        Some("leads out of its folder")
    } else if text.starts_with(['/', '\\', '~']) || text.get(1..3) == Some(":\\") || text.get(1..3) == Some(":/") {
        Some("is an absolute path")
    } else if text.contains("://") {
        Some("is a URL")
    } else if text.contains(['\\', '\0', '\n']) {
        Some("holds characters that no name has")
    } else {
        None
    }
}

fn is_part(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn is_repository(text: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    text.split('/').count() <= 2 && text.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_local_remote_or_outside() {
        assert_eq!(parse("modeling_x.Model"), Reference::Local { file: "modeling_x.py".into() });
        assert_eq!(parse("sub.modeling_x.Model"), Reference::Local { file: "sub/modeling_x.py".into() });
        assert_eq!(parse("microsoft/phi-2--modeling_phi.Phi"), Reference::Remote { repository: "microsoft/phi-2" });
        for odd in [
            "../../evil.Model",
            "/tmp/evil.Model",
            "C:\\evil.Model",
            "http://evil.example/x--y.Z",
            "a/b.Model",
            "org/../x--m.C",
            "a b.C",
            "",
            "os.system('id')",
        ] {
            assert!(matches!(parse(odd), Reference::Outside(_)), "{odd}");
        }
    }
}
