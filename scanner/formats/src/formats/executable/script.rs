use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::executable::{report, rules};

/// Bytes of a script looked through.
const SCRIPT_BYTES_MAX: usize = 1 << 20;
/// Extensions that a shell runs by name.
const EXTENSIONS: &[&str] =
    &["sh", "bash", "zsh", "command", "bat", "cmd", "ps1", "psm1", "vbs", "vbe", "jse", "wsf", "hta", "desktop", "reg"];

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
    rules: &[&rules::UNDER_MODEL_NAME, &rules::IN_ARCHIVE, &rules::BESIDE, &rules::SCRIPT_ATTACK],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let text = sniff.text();
    let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
    if let Some(interpreter) = first.strip_prefix(b"#!") {
        let names_one = interpreter.trim_ascii_start().starts_with(b"/");
        let is_python = memchr::memmem::find(interpreter, b"python").is_some();
        return if names_one && !is_python { Confidence::Plausible } else { Confidence::No };
    }
    // Old versions of Windows run what it names when a drive is opened.
    if sniff.name.as_str() == "autorun.inf" && first.trim_ascii().eq_ignore_ascii_case(b"[autorun]") {
        return Confidence::Likely;
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
    let network_tool = line
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-')))
        .any(|word| matches!(word.rsplit('/').next(), Some("nc" | "ncat" | "netcat" | "nc.exe" | "ncat.exe")));
    let to_socket = any(&["/dev/tcp/", "/dev/udp/"]) && any(&["bash", "sh ", "exec", ">&"]);
    let to_network_tool = network_tool
        && (any(&[" -e ", " -c /bin", "--exec", "--sh-exec", "/bin/sh |", "|/bin/sh", "| /bin/sh"])
            || has(&["mkfifo", "/bin/"]));
    let download = any(&["downloadstring", "invoke-webrequest", "iwr ", "frombase64string"]);
    let to_shell = any(&["| sh", "|sh", "| bash", "|bash"]);
    let kinds = [
        ("a reverse shell", to_socket || to_network_tool || has(&["socat", "exec:", "tcp"])),
        ("an encoded PowerShell command", powershell && any(&[" -enc", " -ec ", "encodedcommand", "frombase64string"])),
        ("a downloaded or encoded command, run at once", any(&["iex", "invoke-expression"]) && download),
        ("an encoded command, run at once", line.contains("base64") && any(&["-d", "--decode"]) && to_shell),
        (
            "a download by a tool that is not for it",
            has(&["certutil", "-urlcache"]) || has(&["bitsadmin", "/transfer"]) || has(&["mshta", "http"]),
        ),
    ];
    kinds.into_iter().find(|(_, found)| *found).map(|(what, _)| what)
}
