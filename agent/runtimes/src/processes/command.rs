use std::path::{Path, PathBuf};

use super::catalogue::Stack;

/// Bytes of a command line that are read: some programs pass whole documents.
pub(super) const COMMAND_BYTES_MAX: usize = 64 << 10;
/// Most arguments looked at.
const ARGUMENTS_MAX: usize = 4096;
/// Longest command line told.
const SHOWN_CHARS_MAX: usize = 4096;
/// Longest name of a model on a command line; paths end at 4 KiB.
const NAME_BYTES_MAX: usize = 4096;
/// Most models that one command line names.
const NAMES_MAX: usize = 32;

/// A command line, taken apart as its interpreter would.
#[derive(Debug, Clone, Default)]
pub(super) struct Command {
    /// The arguments, with invalid UTF-8 replaced.
    pub(super) args: Vec<String>,
    /// The script that an interpreter runs, absolute where that is known.
    pub(super) script: PathBuf,
    /// Its last component.
    pub(super) script_name: String,
    /// What `python -m` runs.
    pub(super) module: String,
    /// Where the program's own arguments begin.
    rest: usize,
}

impl Command {
    /// From `/proc/PID/cmdline`.
    pub(super) fn parse(raw: &[u8], cwd: Option<&Path>) -> Self {
        let raw = raw.strip_suffix(b"\0").unwrap_or(raw);
        let args: Vec<String> =
            raw.split(|b| *b == 0).take(ARGUMENTS_MAX).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        let mut command = Self { rest: 1, ..Self::default() };
        let interpreter = args.first().is_some_and(|first| is_interpreter(first));
        let mut at = 1;
        while interpreter && let Some(arg) = args.get(at) {
            at += 1;
            if arg == "-m" || arg == "-c" {
                command.module = if arg == "-m" { args.get(at).cloned().unwrap_or_default() } else { String::new() };
                command.rest = at + 1;
                break;
            }
            if arg == "-W" || arg == "-X" {
                at += 1;
            } else if !arg.starts_with('-') {
                command.script = cwd.map_or_else(|| PathBuf::from(arg), |cwd| cwd.join(arg));
                command.script_name = arg.rsplit('/').next().unwrap_or_default().to_owned();
                command.rest = at;
                break;
            }
        }
        command.args = args;
        command
    }

    /// The command line as one line that is safe to print.
    pub(super) fn shown(&self) -> String {
        let mut out = String::new();
        for c in self.args.join(" ").chars().take(SHOWN_CHARS_MAX) {
            if out.len() >= SHOWN_CHARS_MAX {
                break;
            }
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        out
    }

    /// Values that `stack` takes for models: files, folders or names.
    pub(super) fn models(&self, stack: &Stack) -> Vec<&str> {
        let own = self.args.get(self.rest..).unwrap_or_default();
        let mut out: Vec<&str> = Vec::new();
        for (i, arg) in own.iter().enumerate() {
            let (option, joined) = arg.split_once('=').map_or((arg.as_str(), None), |(o, v)| (o, Some(v)));
            if stack.model.contains(&option) {
                out.extend(joined.or_else(|| own.get(i + 1).map(String::as_str)));
            }
        }
        for words in &stack.serve {
            let said = own.iter().take(words.len()).eq(words.iter());
            out.extend(own.get(words.len()).map(String::as_str).filter(|a| said && !a.starts_with('-')));
        }
        out.retain(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        out.sort_unstable();
        out.dedup();
        out.truncate(NAMES_MAX);
        out
    }
}

fn is_interpreter(first: &str) -> bool {
    let name = first.rsplit('/').next().unwrap_or_default();
    ["python", "pypy", "node", "bun", "deno"].iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::catalogue::CATALOGUE;

    fn command(args: &[&str]) -> Command {
        let raw: Vec<u8> = args.iter().flat_map(|a| a.bytes().chain([0])).collect();
        Command::parse(&raw, Some(Path::new("/work")))
    }

    fn models(comm: &str, args: &[&str]) -> Vec<String> {
        let command = command(args);
        let (stack, _) = CATALOGUE.recognise(comm, None, &command).unwrap();
        command.models(stack).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn models_are_taken_from_options_and_places() {
        assert_eq!(models("llama-server", &["llama-server", "-m", "a.gguf", "--mmproj=b.gguf"]), ["a.gguf", "b.gguf"]);
        assert_eq!(models("", &["python", "-m", "vllm.entrypoints.api_server", "--model", "q/w"]), ["q/w"]);
        assert_eq!(models("", &["python", "/v/bin/vllm", "serve", "q/w", "--port", "1"]), ["q/w"]);
        assert_eq!(models("ollama", &["ollama", "serve"]), Vec::<String>::new());
        assert_eq!(models("llama-server", &["llama-server", "-m"]), Vec::<String>::new());
    }

    #[test]
    fn a_hostile_command_line_stays_small_and_printable() {
        let long = "\n\u{1b}[31m".repeat(20_000);
        let shown = command(&["llama-server", &long]).shown();
        assert!(shown.len() <= SHOWN_CHARS_MAX + 16, "{}", shown.len());
        assert!(!shown.contains(char::is_control));
        assert!(command(&[]).shown().is_empty());
        let many = vec![0; COMMAND_BYTES_MAX];
        assert_eq!(Command::parse(&many, None).args.len(), ARGUMENTS_MAX);
    }

    #[test]
    fn relative_scripts_lie_in_the_working_folder() {
        assert_eq!(command(&["python3", "-u", "ComfyUI/main.py"]).script, Path::new("/work/ComfyUI/main.py"));
        assert_eq!(command(&["ls", "main.py"]).script, Path::new(""));
    }
}
