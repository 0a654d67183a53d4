//! What an imported name gives away: by the tables, and by what its path
//! reaches.

use crate::formats::pickle::python2;
use crate::formats::pickle::tables::{self, Standing};

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
    // A package imported by another, reached as its attribute.
    if let Some(package) = PACKAGES.iter().find(|(alias, _)| *alias == first).map(|(_, package)| *package) {
        let behind = judge_in(package, rest);
        return if matches!(behind, Standing::Denied(_)) { behind } else { Standing::Unknown };
    }
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

/// `path` under `package`, where each component may still be a module.
fn judge_in(package: &str, path: &str) -> Standing {
    let mut module = package.to_owned();
    let mut rest = path;
    loop {
        let standing = tables::exact(&module, rest)
            .or_else(|| tables::by_module(&module, rest.split('.').next().unwrap_or(rest)))
            .unwrap_or(Standing::Unknown);
        match rest.split_once('.') {
            Some((inner, after)) if !matches!(standing, Standing::Denied(_)) => {
                module = format!("{module}.{inner}");
                rest = after;
            }
            _ => return standing,
        }
    }
}

/// Packages that others import, by the names they are imported under.
const PACKAGES: &[(&str, &str)] = &[
    ("torch", "torch"),
    ("np", "numpy"),
    ("numpy", "numpy"),
    ("pd", "pandas"),
    ("pandas", "pandas"),
    ("sklearn", "sklearn"),
    ("scipy", "scipy"),
    ("sp", "scipy"),
    ("tf", "tensorflow"),
    ("tensorflow", "tensorflow"),
    ("keras", "keras"),
    ("transformers", "transformers"),
    ("jax", "jax"),
];

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
    "tofile",
    "fromfile",
    "to_csv",
    "to_pickle",
    "read_pickle",
    "to_sql",
    "to_excel",
    "to_hdf",
    "to_parquet",
    "write_text",
    "write_bytes",
    "from_pretrained",
    "load_from_checkpoint",
    "load_state_dict_from_url",
    "download_url_to_file",
    "extractall",
    "symlink_to",
    "hardlink_to",
    "_unpickle_model",
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
            ("torch.nn.functional", "torch.load"),
            ("sklearn.utils.validation", "np.lib.npyio.load"),
            ("pandas.core.frame", "DataFrame.to_pickle"),
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
