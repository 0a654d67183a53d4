use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use weighbridge_types::Shown;

use crate::cli::ListFormat;
use crate::exit::{Failure, Outcome};
use crate::report::{good, ill, wrapped};

#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// A folder on the file system that is to be gated; probes are made and removed there [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    format: ListFormat,
}

/// Says what this system lets the daemon see and stop. Nothing outside a folder
/// of its own is touched.
pub fn run(options: &DoctorOptions) -> Result<Outcome, Failure> {
    let report = json!({ "gate": gate(options), "daemon": daemon() });
    match options.format {
        ListFormat::Json => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        ListFormat::Table => print(&mut anstream::stdout().lock(), &report)?,
    }
    Ok(Outcome::Yes)
}

#[cfg(target_os = "linux")]
fn gate(options: &DoctorOptions) -> Value {
    let dir = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    json!(weighbridge_gate::doctor::probe(&dir))
}

#[cfg(not(target_os = "linux"))]
fn gate(_: &DoctorOptions) -> Value {
    json!({ "checks": [{
        "name": "gate", "title": "opening a denied model fails",
        "coverage": { "state": "open", "reason": "this system has no permission events that we use" },
    }], "listeners": [] })
}

/// What the sensors need and may have.
fn daemon() -> Value {
    let root = rustix::process::geteuid().is_root();
    let need = |name: &str, title: &str, here: bool, otherwise: &str| {
        let coverage =
            if here { json!({ "state": "covered" }) } else { json!({ "state": "open", "reason": otherwise }) };
        json!({ "name": name, "title": title, "coverage": coverage })
    };
    let pressure = std::path::Path::new("/proc/pressure/cpu").exists();
    let linux = cfg!(target_os = "linux");
    json!([
        need("files", "changes of whole file systems are seen", linux && root, "folders are watched one by one"),
        need(
            "processes",
            "what other users' processes hold is seen",
            linux && root,
            "only our own processes are looked into"
        ),
        need(
            "downloads",
            "downloads are seen with process and file",
            linux,
            "this system does not tell bytes by socket"
        ),
        need("downloads-of-others", "and those of other users", linux && root, "run as root to see whose they are"),
        need(
            "pressure",
            "sweeps rest while the machine is busy",
            pressure,
            "the kernel tells no pressure (/proc/pressure)"
        ),
    ])
}

fn print(out: &mut impl Write, report: &Value) -> io::Result<()> {
    let (good, ill) = (good(), ill());
    let sections = [("The gate", report.pointer("/gate/checks")), ("The sensors", report.get("daemon"))];
    for (title, checks) in sections {
        writeln!(out, "{title}")?;
        for check in checks.and_then(Value::as_array).into_iter().flatten() {
            let text = |pointer: &str| check.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (style, word) = match text("/coverage/state") {
                "covered" => (good, "yes"),
                "unknown" => (ill, "?"),
                _ => (ill, "no"),
            };
            let why = text("/coverage/reason");
            writeln!(out, "  {style}{word:4}{style:#}{}", Shown(text("/title")))?;
            if !why.is_empty() {
                writeln!(out, "{}", wrapped(&Shown(why).to_string(), "        "))?;
            }
        }
    }
    for listener in report.pointer("/gate/listeners").and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "Another program answers permission events: {}", Shown(&listener.to_string()))?;
    }
    Ok(())
}
