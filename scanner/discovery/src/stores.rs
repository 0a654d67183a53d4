use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most processes whose environment is read.
const PROCESSES_MAX: usize = 100_000;
/// Longest environment read, bytes.
const ENVIRONMENT_BYTES_MAX: usize = 1 << 20;

/// A folder in which an inference stack keeps models.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Store {
    /// The stack, as in `rules/stacks.txt`.
    pub stack: String,
    /// The folder; it exists.
    pub path: PathBuf,
}

/// Stores that exist on this machine: for every user, with the overrides in
/// our environment and in that of running processes, and in container
/// volumes.
#[must_use]
pub fn stores() -> Vec<Store> {
    let mut variables = environments();
    for (key, value) in std::env::vars() {
        variables.entry(key).or_default().insert(value);
    }
    find(weighbridge_rules::STACKS, &homes(), &variables, &container_roots())
}

fn find(
    table: &str,
    homes: &[PathBuf],
    variables: &BTreeMap<String, BTreeSet<String>>,
    containers: &[PathBuf],
) -> Vec<Store> {
    let mut out = BTreeSet::new();
    for line in table.lines() {
        let mut columns = line.split('|').map(str::trim);
        let (Some(stack), Some(what), Some(value)) = (columns.next(), columns.next(), columns.next()) else { continue };
        if stack.starts_with('#') {
            continue;
        }
        let places: Vec<PathBuf> = match what {
            "env" => {
                let (name, below) = value.split_once('+').unwrap_or((value, ""));
                let values = variables.get(name).into_iter().flatten();
                values
                    .flat_map(|v| v.split(':'))
                    .filter(|v| v.starts_with('/'))
                    .map(|v| Path::new(v).join(below))
                    .collect()
            }
            "home" => homes.iter().map(|home| home.join(value)).collect(),
            "root" => vec![PathBuf::from(value)],
            "any" => containers.iter().map(|root| root.join(value)).collect(),
            _ => Vec::new(),
        };
        for place in places {
            for path in expand(&place) {
                out.insert(Store { stack: stack.to_owned(), path });
            }
        }
    }
    out.into_iter().collect()
}

/// Existing folders that `pattern` stands for; `*` is one component.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        if component.as_os_str() == "*" {
            found = found
                .iter()
                .filter_map(|p| std::fs::read_dir(p).ok())
                .flat_map(|d| d.flatten().map(|e| e.path()))
                .collect();
        } else {
            found.iter_mut().for_each(|p| p.push(component));
        }
    }
    found.retain(|p| p.is_dir());
    // `x/` and `x` are one folder.
    found.into_iter().map(|p| p.components().collect()).collect()
}

/// Home folders in the user database, and our own.
fn homes() -> Vec<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut homes: BTreeSet<PathBuf> =
        passwd.lines().filter_map(|l| l.split(':').nth(5)).filter(|h| h.len() > 1).map(PathBuf::from).collect();
    homes.extend(std::env::var_os("HOME").map(PathBuf::from));
    // Users of directory services are not in the file.
    for parent in ["/home", "/Users"] {
        homes.extend(std::fs::read_dir(parent).into_iter().flatten().flatten().map(|e| e.path()));
    }
    homes.into_iter().filter(|h| h.is_dir()).collect()
}

/// Values of variables in the environments of running processes that we may
/// read, since a server's override stands there and nowhere else.
fn environments() -> BTreeMap<String, BTreeSet<String>> {
    let wanted: BTreeSet<&str> = weighbridge_rules::STACKS
        .lines()
        .filter_map(|l| l.split('|').nth(2).filter(|_| l.contains("| env")))
        .map(|v| v.trim().split('+').next().unwrap_or_default())
        .collect();
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten().take(PROCESSES_MAX) {
        if !entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let Ok(mut environment) = std::fs::read(entry.path().join("environ")) else { continue };
        environment.truncate(ENVIRONMENT_BYTES_MAX);
        for variable in environment.split(|b| *b == 0) {
            let text = String::from_utf8_lossy(variable);
            if let Some((key, value)) = text.split_once('=')
                && wanted.contains(key)
            {
                out.entry(key.to_owned()).or_default().insert(value.to_owned());
            }
        }
    }
    out
}

/// Root folders of running containers, as their processes see them, and of
/// stopped ones, as their engines keep them.
fn container_roots() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for pattern in [
        "/var/lib/docker/overlay2/*/merged",
        "/var/lib/docker/overlay2/*/diff",
        "/var/lib/containers/storage/overlay/*/diff",
    ] {
        roots.extend(expand(Path::new(pattern)));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_overrides_and_container_volumes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["home/a/.ollama/models", "hf/hub", "v/one/_data", "c1/root/.ollama/models"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let table = format!(
            "# c\nollama | home | .ollama/models\nhf | env | HF_HOME+hub\nvol | root | {}/v/*/_data\nollama | any | root/.ollama/models\n",
            dir.path().display()
        );
        let hf = BTreeSet::from([dir.path().join("hf").display().to_string(), "relative".to_owned()]);
        let found = find(
            &table,
            &[dir.path().join("home/a"), dir.path().join("home/none")],
            &BTreeMap::from([("HF_HOME".to_owned(), hf)]),
            &[dir.path().join("c1")],
        );
        let paths: Vec<_> = found.iter().map(|s| s.path.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(paths, ["hf/hub", "c1/root/.ollama/models", "home/a/.ollama/models", "v/one/_data"]);
    }

    #[test]
    fn the_shipped_table_is_well_formed() {
        for line in weighbridge_rules::STACKS.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let columns: Vec<_> = line.split('|').map(str::trim).collect();
            assert_eq!(columns.len(), 3, "{line}");
            assert!(["env", "home", "root", "any"].contains(&columns[1]), "{line}");
        }
    }
}
