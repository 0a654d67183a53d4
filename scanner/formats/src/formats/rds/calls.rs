//! What R functions reach outside the session.

/// How much a call can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// Runs code or reaches files in ways that honest functions do too.
    Weak,
    /// Starts programs, loads code or opens connections.
    Strong,
}

const STRONG: &[&str] = &[
    "system",
    "system2",
    "shell",
    "shell.exec",
    "pipe",
    "fifo",
    "socketConnection",
    "make.socket",
    "serverSocket",
    "download.file",
    "install.packages",
    "source",
    "sys.source",
    "dyn.load",
    "library.dynam",
    "sourceCpp",
    "cppFunction",
    "evalCpp",
    "py_run_string",
    "py_run_file",
    "source_python",
    "py_eval",
    "getURL",
    "curl_download",
    "curl_fetch_memory",
    "curl_upload",
];

/// Dangerous only with their package, since the bare name is an ordinary word.
const STRONG_QUALIFIED: &[&str] = &[
    "httr::GET",
    "httr::POST",
    "httr::PUT",
    "processx::run",
    "processx::process",
    "callr::r",
    "callr::rscript",
    "sys::exec_wait",
    "sys::exec_background",
    "sys::exec_internal",
    "rJava::.jcall",
    "remotes::install_github",
    "devtools::install_github",
];

const WEAK: &[&str] = &[
    "eval",
    "evalq",
    "eval.parent",
    "parse",
    "str2lang",
    "str2expression",
    "do.call",
    ".Call",
    ".External",
    ".External2",
    ".C",
    ".Fortran",
    ".Internal",
    "get",
    "match.fun",
    "getFromNamespace",
    "unlink",
    "file.remove",
    "file.rename",
    "file.copy",
    "file.create",
    "writeLines",
    "writeBin",
    "write",
    "cat",
    "sink",
    "dump",
    "Sys.setenv",
    "Sys.chmod",
    "url",
    "file",
    "gzfile",
    "readLines",
    "readRDS",
    "load",
    "attach",
    "unserialize",
    "loadNamespace",
    "requireNamespace",
    "library",
    "require",
    "assign",
    "reg.finalizer",
    "makeActiveBinding",
    "delayedAssign",
    "addTaskCallback",
    "setHook",
    "quit",
    "q",
];

/// What a call of `name` (`system`, `base::system`) can do, if it matters.
pub fn danger(name: &str) -> Option<Danger> {
    let bare = bare(name);
    if STRONG.contains(&bare) || STRONG_QUALIFIED.contains(&name) {
        Some(Danger::Strong)
    } else if WEAK.contains(&bare) {
        Some(Danger::Weak)
    } else {
        None
    }
}

/// Whether `name` evaluates its first argument.
pub fn evaluates(name: &str) -> bool {
    ["eval", "evalq", "eval.parent"].contains(&bare(name))
}

/// Whether `name` makes code of text.
pub fn parses(name: &str) -> bool {
    ["parse", "str2lang", "str2expression", "as.name", "unserialize"].contains(&bare(name))
}

/// Whether `name` takes a function, or the name of one, and calls it.
pub fn takes_function(name: &str) -> bool {
    ["do.call", "get", "match.fun", "lapply", "sapply", "vapply", "Map", "Reduce", "Filter", "getFromNamespace"]
        .contains(&bare(name))
}

/// `name` without its package.
fn bare(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}
