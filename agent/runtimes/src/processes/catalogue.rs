use std::path::Path;
use std::sync::LazyLock;

use super::Evidence;
use super::command::Command;

/// The tables of this release.
pub(super) static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::parse(weighbridge_rules::PROGRAMS, weighbridge_rules::PROCESSES));

/// An interface that answers without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Ollama,
    OpenAi,
}

/// A stack's options and habits.
#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) id: &'static str,
    /// Options whose value is a model.
    pub(super) model: Vec<&'static str>,
    /// Words after which a bare argument is a model.
    pub(super) serve: Vec<Vec<&'static str>>,
    pub(super) api: Option<Api>,
    programs: Vec<Pattern>,
    scripts: Vec<&'static str>,
    modules: Vec<Pattern>,
    arguments: Vec<&'static str>,
    titles: Vec<Pattern>,
    holds: Vec<&'static str>,
}

/// A name, with `*` for any beginning or any rest.
#[derive(Debug)]
struct Pattern(&'static str);

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match (self.0.strip_suffix('*'), self.0.strip_prefix('*')) {
            (Some(start), _) => name.starts_with(start),
            (None, Some(end)) => name.ends_with(end) && name.len() > end.len(),
            (None, None) => name == self.0,
        }
    }
}

/// All stacks.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    stacks: Vec<Stack>,
    formats: Vec<&'static str>,
}

impl Catalogue {
    pub(super) fn parse(programs: &'static str, processes: &'static str) -> Self {
        let mut catalogue = Self::default();
        for line in programs.lines().chain(processes.lines()).filter(|l| !l.starts_with('#')) {
            let mut columns = line.splitn(3, '|').map(str::trim);
            let (Some(id), Some(what), Some(value)) = (columns.next(), columns.next(), columns.next()) else {
                continue;
            };
            if what == "format" {
                catalogue.formats.push(value);
                continue;
            }
            let stack = catalogue.entry(id);
            match what {
                "program" | "file" => stack.programs.push(Pattern(value)),
                "script" => stack.scripts.push(value),
                "module" => stack.modules.push(Pattern(value)),
                "argument" => stack.arguments.push(value),
                "title" => stack.titles.push(Pattern(value)),
                "holds" => stack.holds.push(value),
                "model" => stack.model.push(value),
                "serve" => stack.serve.push(value.split(' ').collect()),
                "api" => stack.api = if value == "ollama" { Some(Api::Ollama) } else { Some(Api::OpenAi) },
                _ => {}
            }
        }
        // What cannot be met in a process need not be asked each time.
        catalogue.stacks.retain(Stack::can_run);
        catalogue
    }

    fn entry(&mut self, id: &'static str) -> &mut Stack {
        let at = self.stacks.iter().position(|s| s.id == id).unwrap_or(self.stacks.len());
        if at == self.stacks.len() {
            self.stacks.push(Stack { id, ..Stack::default() });
        }
        // The entry was found or pushed above.
        #[expect(clippy::indexing_slicing, reason = "`at` is the place of an entry found or pushed above")]
        &mut self.stacks[at]
    }

    /// Whether files with this extension are models whatever their content.
    pub(super) fn is_model_extension(&self, extension: &str) -> bool {
        self.formats.contains(&extension)
    }

    /// The stack a process runs, the more telling evidence first.
    pub(super) fn recognise(&self, comm: &str, exe: Option<&Path>, command: &Command) -> Option<(&Stack, Evidence)> {
        let exe_name = exe.and_then(|e| e.file_name()).map(|n| n.to_string_lossy());
        let exe_name = exe_name.as_deref().unwrap_or_default();
        let by_program =
            || self.find(|s| s.programs.iter().any(|p| p.matches(exe_name) || p.matches(&command.script_name)));
        let by_script = || self.find(|s| s.scripts.iter().any(|end| command.script.ends_with(end)));
        let by_module = || self.find(|s| s.modules.iter().any(|p| p.matches(&command.module)));
        let by_argument =
            || self.find(|s| s.arguments.iter().any(|a| command.args.iter().skip(1).any(|given| given == a)));
        let by_title = || {
            let called = command.args.first().map_or("", |a| a.rsplit('/').next().unwrap_or_default());
            let whole = command.args.first().map_or("", String::as_str);
            self.find(|s| {
                s.titles.iter().any(|p| p.matches(comm) || p.matches(whole)) || {
                    let programs = || s.programs.iter();
                    !called.is_empty() && programs().any(|p| p.matches(called)) || programs().any(|p| p.matches(comm))
                }
            })
        };
        by_program()
            .or_else(by_script)
            .map(|s| (s, Evidence::Program))
            .or_else(|| by_module().or_else(by_argument).map(|s| (s, Evidence::CommandLine)))
            .or_else(|| by_title().map(|s| (s, Evidence::Title)))
    }

    /// The stack whose folder a program lies in.
    pub(super) fn holder(&self, exe: &Path) -> Option<&'static str> {
        let text = exe.to_string_lossy();
        let inside = |folder: &str| {
            text.match_indices(folder).any(|(at, _)| {
                let before = text.get(..at).is_some_and(|t| t.ends_with('/'));
                let after = text.get(at + folder.len()..).is_some_and(|t| t.is_empty() || t.starts_with('/'));
                before && after
            })
        };
        self.find(|s| s.holds.iter().any(|folder| inside(folder))).map(|s| s.id)
    }

    fn find(&self, wanted: impl Fn(&Stack) -> bool) -> Option<&Stack> {
        self.stacks.iter().find(|s| wanted(s))
    }
}

impl Stack {
    fn can_run(&self) -> bool {
        let by_name = !self.programs.is_empty() || !self.titles.is_empty() || !self.holds.is_empty();
        by_name || !self.scripts.is_empty() || !self.modules.is_empty() || !self.arguments.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn recognised(comm: &str, exe: &str, args: &[&str]) -> Option<(&'static str, Evidence)> {
        let raw: Vec<u8> = args.iter().flat_map(|a| a.bytes().chain([0])).collect();
        let command = Command::parse(&raw, Some(Path::new("/srv/text-generation-webui")));
        CATALOGUE.recognise(comm, Some(Path::new(exe)), &command).map(|(s, e)| (s.id, e))
    }

    #[test]
    fn stacks_are_told_by_program_module_script_argument_and_title() {
        let py = "/usr/bin/python3.12";
        for (expected, comm, exe, args) in [
            ("ollama", "ollama", "/usr/local/bin/ollama", &["ollama", "serve"][..]),
            ("llamacpp", "llama-server", "/opt/l/llama-server", &["llama-server", "-m", "x.gguf"]),
            ("vllm", "python3", py, &["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "x"]),
            ("vllm", "vllm", py, &["/venv/bin/python", "/venv/bin/vllm", "serve", "m"]),
            ("vllm", "VLLM::EngineCor", py, &["VLLM::EngineCore"]),
            ("llama-cpp-python", "python", py, &["python", "-u", "-W", "ignore", "-m", "llama_cpp.server"]),
            ("mlx-lm", "python", py, &["python", "-m", "mlx_lm.server", "--model", "x"]),
            ("mlx-lm", "mlx_lm.server", py, &["python", "/v/bin/mlx_lm.server"]),
            ("mlx-lm", "python", py, &["python", "-m", "mlx_lm", "server"]),
            ("tgi", "text-generation", "/usr/bin/text-generation-launcher", &["text-generation-launcher"]),
            ("sglang", "python", py, &["python", "-m", "sglang.launch_server", "--model-path", "m"]),
            ("lmdeploy", "lmdeploy", py, &["python", "/v/bin/lmdeploy", "serve", "api_server", "m"]),
            ("ramalama", "ramalama", py, &["python3", "/usr/bin/ramalama", "serve", "m"]),
            ("jan", "Jan", "/opt/Jan/Jan", &["/opt/Jan/Jan"]),
            ("lmstudio", "LM Studio", "/opt/LM Studio/lm-studio", &["lm-studio"]),
            ("exo", "exo", py, &["python", "/v/bin/exo"]),
            ("koboldcpp", "python", py, &["python", "koboldcpp.py", "--model", "x"]),
            ("koboldcpp", "koboldcpp", "/k/koboldcpp-linux-x64", &["./koboldcpp-linux-x64"]),
            ("triton", "tritonserver", "/opt/tritonserver/bin/tritonserver", &["tritonserver"]),
            ("torchserve", "java", "/usr/bin/java", &["java", "-cp", "x", "org.pytorch.serve.ModelServer"]),
            ("textgen", "python", py, &["python", "server.py", "--api"]),
            ("comfyui", "python", py, &["python", "/home/a/ComfyUI/main.py"]),
            ("openwebui", "uvicorn", py, &["python", "/v/bin/uvicorn", "open_webui.main:app"]),
            ("llamafile", "x", "/home/a/mistral.llamafile", &["./mistral.llamafile"]),
            ("ray", "ray::Worker", py, &["ray::Worker"]),
        ] {
            assert_eq!(recognised(comm, exe, args).map(|(id, _)| id), Some(expected), "{args:?}");
        }
    }

    #[test]
    fn ordinary_processes_are_not_stacks() {
        for (comm, exe, args) in [
            ("bash", "/usr/bin/bash", &["bash", "-c", "vllm serve x"][..]),
            ("vim", "/usr/bin/vim", &["vim", "ollama"]),
            ("python", "/usr/bin/python3", &["python3", "-c", "import vllm", "-m", "vllm"]),
            ("python", "/usr/bin/python3", &["python3", "manage.py", "-m", "vllm"]),
            ("python", "/usr/bin/python3", &["python3", "-m", "vllmish"]),
            ("java", "/usr/bin/java", &["java"]),
            ("", "", &[]),
        ] {
            assert_eq!(recognised(comm, exe, args), None, "{args:?}");
        }
    }

    #[test]
    fn a_title_is_weaker_than_a_program() {
        assert_eq!(recognised("x", "/bin/sleep", &["ollama", "serve"]), Some(("ollama", Evidence::Title)));
        assert_eq!(recognised("vllm", "/bin/llama-server", &["vllm"]), Some(("llamacpp", Evidence::Program)));
    }

    #[test]
    fn the_place_of_a_program_names_who_started_it() {
        let holder = |path: &str| CATALOGUE.holder(Path::new(path));
        assert_eq!(holder("/home/a/.local/share/Jan/data/llamacpp/backends/b1/llama-server"), Some("jan"));
        assert_eq!(holder("/usr/lib/ollama/llama-server"), Some("ollama"));
        assert_eq!(holder("/usr/lib/ollama-old/llama-server"), None);
        assert_eq!(holder("/home/a/notlib/ollama/x"), None);
    }

    #[test]
    fn the_shipped_table_is_well_formed_and_every_stack_has_a_name() {
        let kinds = "name program script module argument title holds model serve port api format";
        let mut ids = BTreeSet::new();
        let mut named = BTreeSet::new();
        for line in weighbridge_rules::PROGRAMS.lines().chain(weighbridge_rules::PROCESSES.lines()) {
            let columns: Vec<_> = line.splitn(3, '|').map(str::trim).collect();
            if columns.len() == 3 && columns[1] == "name" {
                named.insert(columns[0]);
            }
        }
        for line in weighbridge_rules::PROCESSES.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let columns: Vec<_> = line.splitn(3, '|').map(str::trim).collect();
            assert_eq!(columns.len(), 3, "{line}");
            assert!(kinds.split(' ').any(|k| k == columns[1]) && !columns[2].is_empty(), "{line}");
            assert!(columns[1] != "port" || columns[2].parse::<u16>().is_ok(), "{line}");
            assert!(columns[1] != "api" || ["ollama", "openai"].contains(&columns[2]), "{line}");
            ids.insert(columns[0]);
        }
        ids.remove("*");
        assert_eq!(ids.difference(&named).collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
