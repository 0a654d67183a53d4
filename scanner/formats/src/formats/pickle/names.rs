//! Imported names: what they stand for and how they are judged.

use std::collections::HashMap;

use crate::core::FormatError;
use crate::formats::pickle::Dialect;
use crate::formats::pickle::heap::Value;
use crate::formats::pickle::python2;
use crate::formats::pickle::special::{Special, special};
use crate::formats::pickle::tables::{self, Standing};

/// Different names in one stream.
const NAMES_MAX: usize = 65_536;
/// Longest module or name, bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// A name of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameId(u32);

/// An imported name.
#[derive(Debug, Clone)]
pub struct Name {
    /// Module as written.
    pub module: String,
    /// Name as written, dots included; empty for the module itself.
    pub name: String,
    /// What is known of it.
    pub standing: Standing,
    /// Where it was first imported.
    pub at: u64,
    /// Whether an opcode imported it (and not merely an evaluated call).
    pub imported: bool,
    /// Findings raised about it.
    pub reported: u32,
    /// What it does with its arguments, if they matter.
    pub special: Option<Special>,
    /// Its object in the arena.
    pub object: Option<Value>,
}

impl Name {
    /// `module.name`
    #[must_use]
    pub fn full(&self) -> String {
        if self.name.is_empty() { self.module.clone() } else { format!("{}.{}", self.module, self.name) }
    }

    /// Module and name as Python 3 knows them.
    #[must_use]
    pub fn canonical(&self) -> (&str, &str) {
        python2::mapped(self.module.trim(), self.name.trim())
    }

    /// Whether it is `module.name` to Python 3.
    #[must_use]
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.canonical() == (module, name)
    }
}

/// Every name of a stream, once.
#[derive(Debug, Default)]
pub struct Names {
    /// Who reads the stream.
    pub dialect: Dialect,
    list: Vec<Name>,
    index: HashMap<(String, String), NameId>,
}

impl Names {
    /// The entry of `module.name`, judged when it is new.
    ///
    /// # Errors
    /// [`FormatError::Limit`] when there are too many names.
    pub fn intern(&mut self, module: &str, name: &str, at: u64) -> Result<NameId, FormatError> {
        let key = (cut(module).to_owned(), cut(name).to_owned());
        if let Some(id) = self.index.get(&key) {
            return Ok(*id);
        }
        if self.list.len() >= NAMES_MAX {
            return Err(FormatError::limit("pickle_names_max", NAMES_MAX as u64));
        }
        let id = NameId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        let standing = match judge(&key.0, &key.1) {
            Standing::Unknown if self.dialect.defines(&key.0) => Standing::Class,
            standing => standing,
        };
        let (m, n) = python2::mapped(key.0.trim(), key.1.trim());
        let special = special(m, n);
        self.list.push(Name {
            module: key.0.clone(),
            name: key.1.clone(),
            standing,
            at,
            imported: false,
            reported: 0,
            special,
            object: None,
        });
        self.index.insert(key, id);
        Ok(id)
    }

    /// The name behind `id`.
    #[must_use]
    pub fn get(&self, id: NameId) -> Option<&Name> {
        self.list.get(id.0 as usize)
    }

    /// The name behind `id`, to change it.
    pub fn get_mut(&mut self, id: NameId) -> Option<&mut Name> {
        self.list.get_mut(id.0 as usize)
    }

    /// All names in the order of their first import.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.list.iter()
    }
}

fn cut(text: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// What is known of `module.name`.
#[must_use]
pub fn judge(module: &str, name: &str) -> Standing {
    let clean = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '.').to_owned();
    let (module, name) = (clean(module), clean(name));
    let (module, name) = python2::mapped(&module, &name);
    if let Some(standing) = tables::exact(module, name) {
        return standing;
    }
    if let Some(reason) = reaches_through(module, name) {
        return Standing::Denied(reason);
    }
    let Some((first, rest)) = name.split_once('.') else {
        return by_module(module, name);
    };
    match tables::exact(module, first).unwrap_or_else(|| by_module(module, first)) {
        // A class in a class, a member of an enumeration, a method: harmless
        // to name.
        Standing::Class | Standing::Instance | Standing::Rebuild if rest.split('.').all(tables::is_class_name) => {
            Standing::Instance
        }
        Standing::Class | Standing::Instance | Standing::Rebuild | Standing::Reference => Standing::Reference,
        standing @ (Standing::Denied(_) | Standing::Library) => standing,
        Standing::Pure | Standing::Code | Standing::Unknown => Standing::Unknown,
    }
}

fn by_module(module: &str, name: &str) -> Standing {
    if name.is_empty() {
        // The module itself.
        return match tables::by_module(module, "X") {
            Some(Standing::Class | Standing::Instance | Standing::Rebuild) => Standing::Reference,
            Some(standing) => standing,
            None => Standing::Unknown,
        };
    }
    tables::by_module(module, name).unwrap_or(Standing::Unknown)
}

/// Modules that others import and so re-export: reached as an attribute they
/// are as dangerous as by their own name (CVE-2025-10157).
const MODULES: &[&str] = &[
    "os",
    "_os",
    "sys",
    "_sys",
    "subprocess",
    "_subprocess",
    "builtins",
    "_builtins",
    "posix",
    "nt",
    "posixpath",
    "ntpath",
    "importlib",
    "imp",
    "_imp",
    "pty",
    "socket",
    "_socket",
    "shutil",
    "_shutil",
    "ctypes",
    "_ctypes",
    "runpy",
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "commands",
    "multiprocessing",
    "threading",
    "_thread",
    "thread",
    "webbrowser",
    "urllib",
    "requests",
    "inspect",
    "pip",
    "platform",
    "tempfile",
    "codecs",
    "pdb",
    "bdb",
    "code",
    "types",
    "gc",
    "site",
    "pkgutil",
    "zipimport",
    "signal",
    "asyncio",
    "http",
    "ssl",
    "linecache",
    "mmap",
    "sysconfig",
    "distutils",
    "setuptools",
    "glob",
    "timeit",
    "doctest",
    "pydoc",
    "io",
    "_io",
    "operator",
    "_operator",
    "functools",
    "itertools",
    "warnings",
    "logging",
    "weakref",
    "atexit",
    "copyreg",
    "dill",
    "cloudpickle",
    "joblib",
];

/// Modules that no path of an honest package has further in.
const MODULES_INSIDE: &[&str] =
    &["os", "sys", "subprocess", "builtins", "__builtin__", "posix", "socket", "ctypes", "importlib", "pty", "shutil"];

/// Last components that hand over control whatever they hang on.
const FUNCTIONS: &[&str] = &[
    "system",
    "popen",
    "popen2",
    "popen3",
    "popen4",
    "eval",
    "exec",
    "execfile",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "execl",
    "execle",
    "execlp",
    "execlpe",
    "spawnv",
    "spawnve",
    "spawnl",
    "spawnlp",
    "spawnvp",
    "posix_spawn",
    "posix_spawnp",
    "fork",
    "forkpty",
    "fork_exec",
    "startfile",
    "import_module",
    "Popen",
    "check_output",
    "check_call",
    "getoutput",
    "getstatusoutput",
    "run_module",
    "run_path",
    "urlopen",
    "urlretrieve",
    "runcode",
    "runsource",
    "runctx",
    "runeval",
    "runstring",
    "exec_command",
    "compile_command",
    "rmtree",
    "fork_exec",
    "load_library",
    "LoadLibrary",
    "CDLL",
    "WinDLL",
    "unsafe_load",
    "full_load",
    "spawnv_passfds",
    "exec_module",
    "load_module",
    "_exec_with_source",
    "create_subprocess_shell",
    "create_subprocess_exec",
    "subprocess_exec",
    "subprocess_shell",
    "os_system",
];

/// Why a name that is on no list reaches something dangerous through its
/// path, if it does.
fn reaches_through(module: &str, name: &str) -> Option<&'static str> {
    if module.split('.').skip(1).any(|part| MODULES_INSIDE.contains(&part)) {
        return Some("reaches a system module through another package");
    }
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        if part.len() > 4 && part.starts_with("__") && part.ends_with("__") {
            return Some("reaches into the interpreter through a special attribute");
        }
        if MODULES.contains(&part) {
            return Some("reaches a system module through another package");
        }
        if parts.peek().is_none() && FUNCTIONS.contains(&part) {
            return Some("has the name of a function that runs commands or code");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(module: &str, name: &str) -> bool {
        matches!(judge(module, name), Standing::Denied(_))
    }

    #[test]
    fn dangerous_names_are_found_however_they_are_reached() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("os.path", "anything"),
            ("numpy.core.x", "os.system"),
            ("sklearn.utils", "os"),
            ("random", "_os.system"),
            ("torch.serialization", "os.system"),
            ("collections", "namedtuple.__globals__"),
            ("builtins", "object.__subclasses__"),
            ("numpy", "__builtins__"),
            ("__builtin__", "eval"),
            ("os\r", "system\r"),
            ("os ", "system"),
            ("six.moves.builtins", "eval"),
            ("nobody.knows", "system"),
            ("joblib.externals.loky.backend.utils", "subprocess.Popen"),
            ("sklearn.externals.joblib", "load"),
            ("torch.utils.collect_env", "run"),
        ] {
            assert!(denied(module, name), "{module}.{name}: {:?}", judge(module, name));
        }
    }

    #[test]
    fn what_frameworks_need_is_known() {
        for (module, name) in [
            ("collections", "OrderedDict"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
            ("copy_reg", "_reconstructor"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("sklearn.ensemble._forest", "RandomForestClassifier"),
            ("pandas.core.frame", "DataFrame"),
            ("__builtin__", "object"),
        ] {
            assert!(
                matches!(judge(module, name), Standing::Rebuild | Standing::Class),
                "{module}.{name}: {:?}",
                judge(module, name)
            );
        }
    }
}
