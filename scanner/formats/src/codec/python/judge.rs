//! From calls to findings: the same call is an attack at import and a habit
//! inside a function.

use std::collections::HashMap;

use weighbridge_types::Rule;

use super::{Analysis, Call, Danger, Payload, PayloadKind, Reach, analyse, danger, rules};
use crate::codec::marshal;
use crate::core::{FormatError, Input, Inspection};

/// Most findings of one rule in one source.
const FINDINGS_PER_RULE_MAX: u32 = 4;

/// Who runs a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Loading or serving the model imports it: remote code, handlers,
    /// packaged modules, start-up hooks.
    Loaded,
    /// It lies beside the model; a person or another source may run it.
    Beside,
    /// An installer runs it: `setup.py`.
    Installer,
}

/// Analyses `source`, found at `place` of the current content (empty for the
/// content itself), and reports what it does.
pub fn inspect(ctx: &mut Inspection<'_>, source: &str, place: &str, trust: Trust) {
    let analysis = analyse(source);
    report(ctx, &analysis, place, trust);
}

/// Reports what an analysed source does.
pub fn report(ctx: &mut Inspection<'_>, analysis: &Analysis, place: &str, trust: Trust) {
    let prefix = if place.is_empty() { String::new() } else { format!("{place}: ") };
    let mut raised: HashMap<&str, u32> = HashMap::new();
    let mut raise = |ctx: &mut Inspection<'_>, rule: &'static Rule, offset: Option<u64>, detail: String| {
        let count = raised.entry(rule.id).or_default();
        *count += 1;
        if *count <= FINDINGS_PER_RULE_MAX {
            ctx.find(rule, offset, format!("{prefix}{detail}"));
        }
    };
    let offset_of = |call: &Call| place.is_empty().then_some(call.offset);
    if let Some(call) = reverse_shell(analysis) {
        raise(ctx, &rules::REVERSE_SHELL, offset_of(call), shown(call));
    }
    for call in &analysis.calls {
        let Some(danger) = call.danger else { continue };
        if let Some(rule) = judged(call, danger, trust) {
            raise(ctx, rule, offset_of(call), shown(call));
        }
    }
    if let Some((secret, line)) = analysis.secrets.first()
        && analysis.calls.iter().any(|c| danger::sends(&c.name) && c.danger == Some(Danger::UsesNetwork))
    {
        raise(ctx, &rules::NAMES_SECRETS, None, format!("line {line} names `{secret}`, and the source sends data"));
    }
    for payload in &analysis.payloads {
        inspect_payload(ctx, payload);
    }
    if analysis.incomplete {
        ctx.stopped(&FormatError::limit("python_source_bytes_max", super::SOURCE_BYTES_MAX as u64));
    }
}

fn shown(call: &Call) -> String {
    let when = match call.reach {
        Reach::Import => "runs when the module is imported",
        Reach::Hook => "runs when the model is loaded or used",
        Reach::Function => "in a function",
        Reach::Script => "runs when the file is started as a script",
    };
    let name = call.name.strip_prefix("builtins.").unwrap_or(&call.name);
    format!("`{name}` in line {} {when}: {}", call.line, call.evidence)
}

/// The call that opens the socket of a reverse shell: in the same source,
/// streams are redirected to it or a shell is started.
fn reverse_shell(analysis: &Analysis) -> Option<&Call> {
    let socket = analysis.dangers(Danger::OpensSocket).next()?;
    let redirects = analysis.dangers(Danger::RedirectsStreams).next().is_some();
    let shell = analysis.dangers(Danger::RunsCommand).any(|c| {
        c.name == "pty.spawn"
            || c.argument.as_deref().is_some_and(|a| {
                let program = a.split_whitespace().next().unwrap_or_default();
                let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
                matches!(program, "sh" | "bash" | "zsh" | "cmd" | "cmd.exe" | "powershell" | "powershell.exe")
            })
            // What comes in over the socket is run.
            || c.origin.remote
    });
    (redirects && analysis.dangers(Danger::RunsCommand).next().is_some() || shell).then_some(socket)
}

/// The rule that `call` breaks.
fn judged(call: &Call, danger: Danger, trust: Trust) -> Option<&'static Rule> {
    // Hooks are only called in what the loader imports.
    let runs = matches!(
        (call.reach, trust),
        (Reach::Import, _) | (Reach::Hook, Trust::Loaded) | (Reach::Script | Reach::Hook, Trust::Installer)
    );
    let script = call.reach == Reach::Script && trust != Trust::Installer;
    match danger {
        Danger::RunsCommand => Some(command(call, runs, script)),
        Danger::EvaluatesText => evaluation(call, runs, trust),
        Danger::LoadsCode if runs || trust == Trust::Loaded => Some(&rules::LOADS_CODE),
        Danger::LoadsObjects if runs && (call.origin.decoded || call.origin.remote) => Some(&rules::UNPICKLES_HIDDEN),
        Danger::SendsSecrets if runs => Some(&rules::SENDS_SECRETS),
        Danger::SendsSecrets => Some(&rules::NAMES_SECRETS),
        Danger::Spies => Some(&rules::SPIES),
        Danger::UsesNetwork | Danger::OpensSocket if runs && trust == Trust::Loaded && call.at_import() => {
            Some(&rules::NETWORK_AT_IMPORT)
        }
        Danger::UsesNetwork | Danger::OpensSocket => Some(&rules::NETWORK),
        Danger::LoadsNativeCode if runs && trust != Trust::Installer => Some(&rules::NATIVE_CODE),
        Danger::HidesNames => Some(&rules::HIDDEN_NAMES),
        Danger::HooksInterpreter if runs => Some(&rules::HIDDEN_NAMES),
        Danger::DeletesFiles if runs => Some(files(call, &rules::DESTROYS_FILES)),
        Danger::OpensFile | Danger::WritesFiles => writing(call, runs, trust),
        _ => None,
    }
}

/// Programs that honest model code starts to read media or ask for versions.
fn command(call: &Call, runs: bool, script: bool) -> &'static Rule {
    const TOOLS: &[&str] = &[
        "ffmpeg",
        "ffprobe",
        "sox",
        "soxi",
        "nvidia-smi",
        "rocm-smi",
        "rocminfo",
        "nvcc",
        "uname",
        "lscpu",
        "sysctl",
        "ldconfig",
        "which",
        "where",
        "sw_vers",
        "espeak",
        "espeak-ng",
        "hostname",
        "nproc",
    ];
    const GIT: &[&str] = &["rev-parse", "describe", "log", "status", "diff", "branch"];
    if script {
        return &rules::RUNS_TOOL;
    }
    let argument = call.argument.as_deref().unwrap_or_default();
    let plain = !argument.contains([';', '|', '&', '`', '$', '<', '>', '\n']) && !call.origin.decoded;
    let mut words = argument.split_whitespace();
    let program = words.next().and_then(|p| p.rsplit('/').next()).unwrap_or_default();
    let harmless = TOOLS.contains(&program) || program == "git" && words.next().is_some_and(|w| GIT.contains(&w));
    // A list of arguments with unknown parts is still one program.
    match (plain && harmless, runs) {
        (true, _) => &rules::RUNS_TOOL,
        (false, true) => &rules::RUNS_COMMAND_AT_LOAD,
        (false, false) => &rules::RUNS_COMMAND,
    }
}

fn evaluation(call: &Call, runs: bool, trust: Trust) -> Option<&'static Rule> {
    let hidden = call.origin.decoded || call.origin.remote;
    match (hidden, runs) {
        (true, true) => Some(&rules::EXECUTES_HIDDEN),
        (true, false) => Some(&rules::EVALUATES_TEXT),
        // The idiom of installers: exec(open("version.py").read()).
        (false, _) if trust == Trust::Installer && call.origin.file => None,
        (false, false) if trust != Trust::Loaded => None,
        (false, _) => Some(&rules::EVALUATES_TEXT),
    }
}

/// Deleting or planting files outside the working directory is worse.
fn files(call: &Call, worse: &'static Rule) -> &'static Rule {
    let argument = call.argument.as_deref().unwrap_or_default();
    let outside = argument.starts_with(['/', '~', '\\']) && !argument.starts_with("/tmp/")
        || argument.get(1..3) == Some(":\\")
        || argument.contains("..");
    if outside { worse } else { &rules::CHANGES_FILES }
}

fn writing(call: &Call, runs: bool, trust: Trust) -> Option<&'static Rule> {
    let planted = call.argument.as_deref().and_then(danger::startup_place).is_some();
    match (planted, runs) {
        (true, true) => Some(&rules::PLANTS_FILE),
        (true, false) => Some(&rules::CHANGES_FILES),
        (false, true) if call.at_import() && trust == Trust::Loaded => Some(&rules::CHANGES_FILES),
        _ => None,
    }
}

fn inspect_payload(ctx: &mut Inspection<'_>, payload: &Payload) {
    let place = format!("bytes in line {}", payload.line);
    match payload.kind {
        PayloadKind::Marshal => {
            marshal::inspect(ctx, &payload.bytes, &place);
        }
        PayloadKind::Pickle => {
            ctx.child(&place, &Input::bytes(payload.bytes.clone()));
        }
    }
}
