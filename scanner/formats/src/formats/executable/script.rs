use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::executable::{report, rules};

/// Bytes of a script looked through.
const SCRIPT_BYTES_MAX: usize = 1 << 20;
/// Extensions that a shell runs by name.
const EXTENSIONS: &[&str] = &[
    "sh", "bash", "zsh", "command", "bat", "cmd", "ps1", "psm1", "vbs", "vbe", "jse", "wsf", "hta", "desktop", "reg",
];

/// Shell, batch, PowerShell and Windows Script Host. Python has its own.
pub static SCRIPT: FormatSpec = FormatSpec {
    id: "script",
    name: "script",
    extensions: EXTENSIONS,
    runs_code: true,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&rules::IN_ARCHIVE, &rules::BESIDE, &rules::SCRIPT_ATTACK],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let text = sniff.text();
    let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
    if let Some(interpreter) = first.strip_prefix(b"#!") {
        let names_one = interpreter.trim_ascii_start().starts_with(b"/");
        let is_python = memchr::memmem::find(interpreter, b"python").is_some();
        return if names_one && !is_python { Confidence::Plausible } else { Confidence::No };
    }
    let is_text = !text.is_empty() && !text.contains(&0);
    if sniff.name.has_extension(EXTENSIONS) && is_text { Confidence::Plausible } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let content = input.head(SCRIPT_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let text = String::from_utf8_lossy(&content).to_ascii_lowercase();
    ctx.work(content.len() as u64 / 64)?;
    let first = text.lines().next().unwrap_or_default();
    report(ctx, &format!("a script: `{}`", first.chars().take(80).collect::<String>()));
    if let Some((line, what)) = text.lines().find_map(|line| attack(line).map(|what| (line, what))) {
        let shown: String = line.trim().chars().take(200).collect();
        ctx.find(&rules::SCRIPT_ATTACK, None, format!("{what}: `{shown}`"));
    }
    Ok(())
}

/// What the line, in lower case, does that no honest script beside a model
/// does.
fn attack(line: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().all(|part| line.contains(part));
    let any = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    if line.trim_start().starts_with('#') {
        return None;
    }
    let powershell = any(&["powershell", "pwsh"]);
    let network_shell = any(&["nc ", "ncat ", "netcat "]);
    if any(&["/dev/tcp/", "/dev/udp/"]) && any(&["bash", "sh ", "exec", ">&"]) {
        Some("a reverse shell")
    } else if network_shell && any(&[" -e ", " -c /bin", "--exec", "--sh-exec", "/bin/sh |", "|/bin/sh", "| /bin/sh"]) {
        Some("a reverse shell")
    } else if has(&["mkfifo", "/bin/"]) && network_shell {
        Some("a reverse shell")
    } else if has(&["socat", "exec:", "tcp"]) {
        Some("a reverse shell")
    } else if powershell && any(&[" -enc", " -ec ", "encodedcommand", "frombase64string"]) {
        Some("an encoded PowerShell command")
    } else if any(&["iex", "invoke-expression"]) && any(&["downloadstring", "invoke-webrequest", "iwr ", "frombase64string"]) {
        Some("a downloaded or encoded command, run at once")
    } else if has(&["base64", "|"]) && any(&["-d", "--decode"]) && any(&["| sh", "|sh", "| bash", "|bash"]) {
        Some("an encoded command, run at once")
    } else if has(&["certutil", "-urlcache"]) || has(&["bitsadmin", "/transfer"]) || has(&["mshta", "http"]) {
        Some("a download by a tool that is not for it")
    } else {
        None
    }
}
