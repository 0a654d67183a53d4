//! `.args`: the command line a llamafile starts with, one argument a line.

use crate::core::{FormatError, Input, Inspection};
use crate::formats::llamafile::rules;

/// Longest `.args` read, bytes.
const ARGUMENTS_BYTES_MAX: usize = 1 << 20;

/// Options that fetch.
const FETCH: &[&str] = &["-mu", "--model-url", "-hfr", "--hf-repo", "-hf", "--rpc", "-hfd", "-dr"];
/// Options that name a file to read or write.
const FILES: &[&str] = &[
    "-f",
    "--file",
    "-bf",
    "--binary-file",
    "--path",
    "--log-file",
    "--slot-save-path",
    "--prompt-cache",
    "--grammar-file",
    "-sysf",
    "--system-prompt-file",
    "--chat-template-file",
    "--lora",
    "-ld",
    "--logdir",
    "--api-key-file",
    "--ssl-key-file",
    "--in-file",
    "-o",
    "--output",
];

/// Looks at the arguments.
///
/// # Errors
/// [`FormatError::Io`] if they cannot be read.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(ARGUMENTS_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let text = String::from_utf8_lossy(&bytes);
    let mut previous = "";
    for line in text.lines().map(str::trim) {
        let (option, value) = line.split_once('=').filter(|(o, _)| o.starts_with("--")).unwrap_or((previous, line));
        if line == "--unsecure" {
            ctx.find(&rules::UNSAFE_ARGUMENT, None, "`--unsecure` switches llamafile's own sandbox off");
        } else if FETCH.contains(&option) {
            ctx.find(&rules::UNSAFE_ARGUMENT, None, format!("`{option} {value}` makes it connect to another host"));
        } else if FILES.contains(&option) && leaves_archive(value) {
            ctx.find(&rules::UNSAFE_ARGUMENT, None, format!("`{option} {value}` names a file outside of the archive"));
        } else if option == "--host" && matches!(value, "0.0.0.0" | "::" | "[::]") {
            ctx.find(&rules::LISTENS, None, format!("`{option} {value}` listens on every interface"));
        } else if runs_shell(line) {
            ctx.find(&rules::UNSAFE_ARGUMENT, None, format!("`{line}` is a shell command"));
        }
        previous = line;
    }
    Ok(())
}

fn leaves_archive(path: &str) -> bool {
    let drive = path.get(1..3).is_some_and(|p| p == ":\\" || p == ":/");
    let absolute = path.starts_with(['/', '\\', '~']) || drive;
    absolute && !path.starts_with("/zip/") || path.split(['/', '\\']).any(|part| part == "..")
}

/// Command substitution, or a downloader piped into a shell. Prompts are full
/// of single `|`, `;` and `` ` ``, which mean nothing here.
fn runs_shell(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let piped =
        ["| sh", "|sh", "| bash", "|bash", "; rm -rf", "&& rm -rf", "powershell -"].iter().any(|p| lower.contains(p));
    let substituted = lower.find("$(").is_some_and(|at| lower.get(at..).is_some_and(|rest| rest.contains(')')));
    piped
        || substituted
            && ["curl", "wget", "sh", "cat", "nc", "rm", "id", "whoami", "echo"].iter().any(|c| lower.contains(c))
}
