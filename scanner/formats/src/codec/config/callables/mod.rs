//! Which dotted Python names a configuration may call.
//!
//! An allow-list for the libraries models are made of, a table of what runs
//! commands, code or network inside and outside them, and judgement by shape
//! for the rest: an unknown class is a project's own code, an unknown function
//! named `exec` is not.

mod tables;

use tables::{
    DANGEROUS, HARMLESS, HARMLESS_BUILTINS, HARMLESS_STANDARD, KNOWN_ROOTS, MODULES_NEVER_INSIDE, OTHER_STANDARD,
    RUNS_ITS_ARGUMENTS, TELLTALES, UNUSUAL, holds,
};

/// What calling a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callable {
    /// Runs commands or code, loads code, or changes files; says how.
    Dangerous(&'static str),
    /// No model configuration needs it; says why it stands out.
    Unusual(&'static str),
    /// Part of a library that models are built with.
    Known,
    /// Somebody's own code.
    Unknown,
}

/// What calling `name`, written `package.module.attribute` (or
/// `module:attribute`), means.
#[must_use]
pub fn judge(name: &str) -> Callable {
    let name = name.trim().replace(':', ".");
    let name = canonical(&name);
    if let Some(rest) = name.strip_prefix("builtins.")
        && holds(HARMLESS_BUILTINS, rest)
    {
        return Callable::Known;
    }
    if HARMLESS.iter().any(|h| is_or_below(&name, h)) {
        return Callable::Known;
    }
    if let Some((_, why)) = DANGEROUS.iter().find(|(d, _)| is_or_below(&name, d)) {
        return Callable::Dangerous(why);
    }
    if let Some((_, why)) = UNUSUAL.iter().find(|(u, _)| is_or_below(&name, u)) {
        return Callable::Unusual(why);
    }
    let parts: Vec<&str> = name.split('.').take(64).collect();
    let (Some(root), Some(last)) = (parts.first(), parts.last()) else { return Callable::Unknown };
    if parts.iter().skip(1).any(|p| holds(MODULES_NEVER_INSIDE, p)) {
        return Callable::Dangerous("reaches a system module through another one");
    }
    if holds(HARMLESS_STANDARD, root) || holds(KNOWN_ROOTS, root) || *root == "transformers_modules" {
        return Callable::Known;
    }
    if holds(RUNS_ITS_ARGUMENTS, last) {
        return Callable::Dangerous("is named like a function that runs what it is given");
    }
    if holds(OTHER_STANDARD, root) || *root == "builtins" {
        return Callable::Unusual("a part of the standard library that builds no model");
    }
    if *root == "mkdocs" || root.starts_with("mkdocs_") || *root == "zensical" {
        return Callable::Known;
    }
    let lower = name.to_ascii_lowercase();
    if TELLTALES.split_ascii_whitespace().any(|t| lower.split(['.', '_']).any(|part| part.starts_with(t))) {
        return Callable::Unusual("its name says what it is for");
    }
    Callable::Unknown
}

/// Names of the same thing made one: Python 2 builtins, bare builtins.
fn canonical(name: &str) -> String {
    let name = ["__builtin__.", "__builtins__."]
        .iter()
        .find_map(|p| name.strip_prefix(p))
        .map_or_else(|| name.to_owned(), |rest| format!("builtins.{rest}"));
    let bare = !name.contains('.');
    let builtin = bare && DANGEROUS.iter().any(|(d, _)| d.strip_prefix("builtins.") == Some(name.as_str()));
    if builtin || bare && holds(HARMLESS_BUILTINS, name.as_str()) { format!("builtins.{name}") } else { name }
}

fn is_or_below(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether Python source in `text` does what no configuration's expression
/// needs: runs commands, imports by name, evaluates strings. Says which mark
/// was found.
#[must_use]
pub fn code_mark(text: &str) -> Option<&'static str> {
    const MARKS: &[&str] = &[
        "__import__",
        "os.system",
        "os.popen",
        "os.exec",
        "os.spawn",
        "subprocess",
        "eval(",
        "exec(",
        "compile(",
        "pty.spawn",
        "__subclasses__",
        "__globals__",
        "__builtins__",
        "importlib",
        "pickle.loads",
        "marshal.loads",
        "ctypes.",
        "getattr(os",
    ];
    // `model.eval()` and `re.compile(` are methods, not the builtins.
    MARKS.iter().copied().find(|mark| {
        memchr::memmem::find_iter(text.as_bytes(), mark).any(|at| {
            !mark.ends_with('(')
                || !text
                    .get(..at)
                    .and_then(|before| before.chars().next_back())
                    .is_some_and(|c| c == '.' || c == '_' || c.is_alphanumeric())
        })
    })
}

/// Whether Python source in `text` reaches for files or the network, which
/// some published bundles do to fetch their data. Says which mark was found.
#[must_use]
pub fn outside_mark(text: &str) -> Option<&'static str> {
    const MARKS: &[&str] = &[
        "urllib.request",
        "urlretrieve",
        "requests.get",
        "requests.post",
        "socket.socket",
        "os.remove",
        "os.unlink",
        "shutil.rmtree",
        "os.environ",
    ];
    MARKS.iter().copied().find(|mark| text.contains(mark))
}

/// Whether an argument looks like something to run: a command line, a script,
/// a URL of one.
#[must_use]
pub fn looks_like_command(text: &str) -> bool {
    const MARKS: &[&str] = &[
        "/bin/sh",
        "/bin/bash",
        "bash -",
        "sh -c",
        "curl ",
        "wget ",
        "rm -rf",
        "powershell",
        "cmd.exe",
        "nc -e",
        "/dev/tcp/",
        "chmod +x",
        "base64 -d",
        "| sh",
        "|sh",
        "python -c",
        "python3 -c",
        "/etc/passwd",
        "/etc/shadow",
        ".ssh/",
    ];
    MARKS.iter().any(|m| text.contains(m)) || code_mark(text).is_some() || text.contains("socket.socket")
}
