//! The tables of known names (`rules/pickle/*.txt`), looked up by module and
//! name.

use std::collections::HashMap;
use std::sync::LazyLock;

use weighbridge_rules::pickle;

/// What is known of an imported name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Rebuilds data when called.
    Rebuild,
    /// A class of a known framework; calling it makes an instance and no more.
    Class,
    /// A class of a known framework; what calling it does is not known.
    Instance,
    /// Harmless to name; no pickler calls it.
    Reference,
    /// Computes from constants; no pickler needs it.
    Pure,
    /// Makes functions or classes from code in the stream.
    Code,
    /// Dangerous, for this reason.
    Denied(&'static str),
    /// Of the standard library, on no list.
    Library,
    /// Nothing.
    Unknown,
}

/// What a table says of `module` and `name`, if anything.
#[must_use]
pub fn exact(module: &str, name: &str) -> Option<Standing> {
    TABLES.exact.get(format!("{module} {name}").as_str()).copied()
}

/// What the tables say of `name` by the module it is in, or a module around
/// that; the nearest decides, and a denial before a permission.
#[must_use]
pub fn by_module(module: &str, name: &str) -> Option<Standing> {
    let mut around = Some(module);
    while let Some(m) = around {
        if let Some(reason) = TABLES.denied.get(m) {
            return Some(Standing::Denied(reason));
        }
        if let Some(tree) = TABLES.trees.get(m) {
            if tree.any {
                return Some(Standing::Rebuild);
            }
            // Cython's rebuilding functions are as many as its classes.
            if (tree.classes || tree.instances) && name.starts_with("__pyx_unpickle_") {
                return Some(Standing::Rebuild);
            }
            if tree.classes && is_class_name(name) {
                return Some(Standing::Class);
            }
            if tree.instances && is_class_name(name) {
                return Some(Standing::Instance);
            }
            if tree.functions && is_function_name(name) {
                return Some(Standing::Reference);
            }
        }
        around = m.rsplit_once('.').map(|(outer, _)| outer);
    }
    let top = module.split('.').next().unwrap_or_default();
    TABLES.library.contains_key(top).then_some(Standing::Library)
}

/// Whether code that names `word` is dangerous by that alone.
#[must_use]
pub fn is_dangerous_word(word: &str) -> bool {
    TABLES.words.contains_key(word)
}

/// `CamelCase`, also with leading underscores; not `CONSTANT_CASE` alone.
#[must_use]
pub fn is_class_name(name: &str) -> bool {
    let bare = name.trim_start_matches('_');
    bare.starts_with(|c: char| c.is_ascii_uppercase()) && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `snake_case`, no special name.
fn is_function_name(name: &str) -> bool {
    !name.starts_with("__")
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[derive(Default, Clone, Copy)]
struct Tree {
    classes: bool,
    instances: bool,
    functions: bool,
    any: bool,
}

struct Tables {
    exact: HashMap<&'static str, Standing>,
    denied: HashMap<&'static str, &'static str>,
    trees: HashMap<&'static str, Tree>,
    library: HashMap<&'static str, ()>,
    words: HashMap<&'static str, ()>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut t = Tables {
        exact: HashMap::with_capacity(4096),
        denied: HashMap::with_capacity(1024),
        trees: HashMap::with_capacity(512),
        library: pickle::STDLIB.lines().filter(|l| is_entry(l)).map(|l| (l, ())).collect(),
        words: pickle::WORDS.lines().filter(|l| is_entry(l)).map(|l| (l, ())).collect(),
    };
    for line in pickle::ALLOW.lines().filter(|l| is_entry(l)) {
        t.allow(line);
    }
    let mut reason = "";
    for line in pickle::DENY.lines().filter(|l| is_entry(l)) {
        match line.strip_prefix('[') {
            Some(header) => reason = header.trim_end_matches(']'),
            None => t.deny(line, reason),
        }
    }
    t
});

fn is_entry(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

impl Tables {
    fn allow(&mut self, line: &'static str) {
        let (key, mark) = line.split_once(" @").unwrap_or((line, ""));
        if let Some(tree) = key.strip_suffix(".**") {
            let tree = self.trees.entry(tree).or_default();
            tree.classes |= mark.contains("classes");
            tree.instances |= mark.contains("instances");
            tree.functions |= mark.contains("functions");
            tree.any |= mark.contains("any");
            return;
        }
        let standing = match mark {
            "class" => Standing::Class,
            "reference" => Standing::Reference,
            "pure" => Standing::Pure,
            "code" => Standing::Code,
            _ => Standing::Rebuild,
        };
        self.exact.insert(key, standing);
    }

    fn deny(&mut self, line: &'static str, reason: &'static str) {
        match line.strip_suffix(" *") {
            Some(module) => {
                self.denied.insert(module, reason);
            }
            None => {
                self.exact.insert(line, Standing::Denied(reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(table: &'static str) -> impl Iterator<Item = &'static str> {
        table.lines().filter(|l| is_entry(l) && !l.starts_with('[')).map(|l| l.split_once(" @").map_or(l, |(k, _)| k))
    }

    #[test]
    fn tables_do_not_contradict_each_other() {
        let allowed: std::collections::HashSet<_> = keys(pickle::ALLOW).collect();
        for key in keys(pickle::DENY) {
            assert!(!allowed.contains(key), "`{key}` is both allowed and denied");
        }
    }

    #[test]
    fn every_line_has_the_form_of_its_table() {
        for line in pickle::ALLOW.lines().filter(|l| is_entry(l)) {
            let (key, mark) = line.split_once(" @").unwrap_or((line, ""));
            let words = key.split(' ').count();
            assert_eq!(words, if key.ends_with(".**") { 1 } else { 2 }, "{line}");
            assert!(
                [
                    "",
                    "class",
                    "reference",
                    "pure",
                    "code",
                    "classes",
                    "functions",
                    "classes functions",
                    "instances",
                    "instances functions",
                    "any"
                ]
                .contains(&mark),
                "{line}"
            );
        }
        for line in pickle::DENY.lines().filter(|l| is_entry(l) && !l.starts_with('[')) {
            assert_eq!(line.split(' ').count(), 2, "{line}");
        }
    }

    #[test]
    fn no_line_stands_twice() {
        for table in [pickle::ALLOW, pickle::DENY, pickle::STDLIB, pickle::WORDS] {
            let mut seen = std::collections::HashSet::new();
            for key in keys(table) {
                assert!(seen.insert(key), "`{key}` stands twice");
            }
        }
    }

    #[test]
    fn the_nearest_module_decides() {
        assert_eq!(by_module("sklearn.linear_model._base", "LinearRegression"), Some(Standing::Class));
        assert!(matches!(by_module("os.path", "join"), Some(Standing::Denied(_))));
        assert!(matches!(by_module("torch.hub", "Load"), Some(Standing::Denied(_))));
        assert_eq!(by_module("nobody.knows", "Thing"), None);
    }
}
