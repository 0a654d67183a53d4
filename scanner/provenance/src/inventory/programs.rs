//! The table of stacks (`rules/programs.txt`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::advisory::normalised;
use crate::advisory::version::Scheme;

/// A stack and what gives it away.
#[derive(Debug)]
pub(super) struct Program {
    pub id: &'static str,
    pub name: &'static str,
    pub scheme: Scheme,
    /// Names on PyPI, normalised.
    pub pypi: Vec<String>,
    pub go: Vec<&'static str>,
}

/// The table, by what is looked up.
#[derive(Debug, Default)]
pub(super) struct Programs {
    programs: BTreeMap<&'static str, Program>,
    pypi: BTreeMap<String, &'static str>,
    files: BTreeMap<&'static str, &'static str>,
    file_prefixes: Vec<(&'static str, &'static str)>,
    apps: BTreeMap<&'static str, &'static str>,
    appimages: Vec<(&'static str, &'static str)>,
    nodes: BTreeMap<&'static str, &'static str>,
    packages: BTreeMap<&'static str, &'static str>,
}

pub(super) static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| Programs::parse(weighbridge_rules::PROGRAMS));

impl Programs {
    fn parse(table: &'static str) -> Self {
        let mut out = Self::default();
        for line in table.lines().filter(|l| !l.starts_with('#')) {
            let mut columns = line.split('|').map(str::trim);
            let (Some(id), Some(what), Some(value)) = (columns.next(), columns.next(), columns.next()) else {
                continue;
            };
            let program = out.programs.entry(id).or_insert_with(|| Program {
                id,
                name: id,
                scheme: Scheme::Python,
                pypi: Vec::new(),
                go: Vec::new(),
            });
            match what {
                "name" => program.name = value,
                "scheme" => program.scheme = Scheme::named(value).unwrap_or(Scheme::Python),
                "go" => program.go.push(value),
                "pypi" => {
                    program.pypi.push(normalised(value));
                    out.pypi.insert(normalised(value), id);
                }
                "file" => match value.strip_suffix('*') {
                    Some(prefix) => out.file_prefixes.push((prefix, id)),
                    None => drop(out.files.insert(value, id)),
                },
                "app" => drop(out.apps.insert(value, id)),
                "appimage" => out.appimages.push((value, id)),
                "node" => drop(out.nodes.insert(value, id)),
                "package" => drop(out.packages.insert(value, id)),
                _ => {}
            }
        }
        out
    }

    pub fn get(&self, id: &str) -> Option<&Program> {
        self.programs.get(id)
    }

    /// By normalised name on PyPI.
    pub fn pypi(&self, name: &str) -> Option<&Program> {
        self.get(self.pypi.get(name)?)
    }

    /// By name of an executable.
    pub fn file(&self, name: &str) -> Option<&Program> {
        let name = name.strip_suffix(".exe").unwrap_or(name);
        let by_prefix = || self.file_prefixes.iter().find(|(p, _)| name.starts_with(p)).map(|(_, id)| id);
        self.get(self.files.get(name).or_else(by_prefix)?)
    }

    /// By name of an application of macOS, without `.app`.
    pub fn app(&self, name: &str) -> Option<&Program> {
        self.get(self.apps.get(name)?)
    }

    /// By name of an AppImage; the rest of the name is its version and more.
    pub fn appimage<'a>(&self, name: &'a str) -> Option<(&Program, &'a str)> {
        let (prefix, id) = self.appimages.iter().find(|(p, _)| name.starts_with(p))?;
        Some((self.get(id)?, name.get(prefix.len()..)?))
    }

    /// By `name` in package.json.
    pub fn node(&self, name: &str) -> Option<&Program> {
        self.get(self.nodes.get(name)?)
    }

    /// By name of a package.
    pub fn package(&self, name: &str) -> Option<&Program> {
        self.get(self.packages.get(name)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_well_formed() {
        let lines = weighbridge_rules::PROGRAMS.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        for line in lines {
            let columns: Vec<_> = line.split('|').map(str::trim).collect();
            assert_eq!(columns.len(), 3, "{line}");
            let known = ["name", "scheme", "pypi", "go", "file", "app", "appimage", "node", "package"];
            assert!(known.contains(&columns[1]), "{line}");
            assert!(columns[1] != "scheme" || Scheme::named(columns[2]).is_some(), "{line}");
        }
        assert_eq!(PROGRAMS.pypi("llama-cpp-python").map(|p| p.id), Some("llama-cpp-python"));
        assert_eq!(PROGRAMS.file("local-ai-v2.1").map(|p| p.id), Some("localai"));
    }

    #[test]
    fn every_advisory_about_a_stack_names_one_of_the_table() {
        for (name, text) in weighbridge_rules::ADVISORIES {
            let advisory = crate::advisory::Advisory::parse(text.as_bytes()).unwrap();
            for stack in advisory.affected.iter().filter_map(|a| a.stack.as_deref()) {
                assert!(PROGRAMS.get(stack).is_some(), "{name}: {stack}");
            }
        }
    }
}
