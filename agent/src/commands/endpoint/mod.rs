//! Questions to the daemon of this machine: one file per command.

mod audit;
mod models;
mod quarantine;
mod request;
mod status;
mod why;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use weighbridge_daemon::{Question, RawPath};

use crate::cli::ListFormat;
use crate::exit::Failure;

pub use audit::{AuditCommand, run as audit};
pub use models::{ModelsOptions, run as models};
pub use quarantine::{QuarantineCommand, run as quarantine};
pub use request::{RequestOptions, run as request};
pub use status::{StatusOptions, run as status};
pub use why::{WhyOptions, run as why};

/// `file` without symbolic links, followed with the rights of whoever asks. Of
/// a file that is gone, into quarantine perhaps, its folder.
fn resolved(file: &Path) -> RawPath {
    let whole = || file.canonicalize().ok();
    let folder = || {
        let folder = file.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })?;
        Some(folder.canonicalize().ok()?.join(file.file_name()?))
    };
    RawPath::of(&whole().or_else(folder).unwrap_or_else(|| file.to_path_buf()))
}

/// Where the daemon listens, and how to write its answer.
#[derive(Debug, Clone, Args)]
pub struct Daemon {
    /// The daemon's control socket [default: $WEIGHBRIDGE_SOCKET, or /run/weighbridge/control.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    format: ListFormat,
}

impl Daemon {
    fn ask(&self, question: &Question) -> Result<Value, Failure> {
        let named = self.socket.clone().or_else(|| std::env::var_os("WEIGHBRIDGE_SOCKET").map(PathBuf::from));
        let socket = named.unwrap_or_else(|| PathBuf::from("/run/weighbridge/control.sock"));
        Ok(weighbridge_daemon::ask(&socket, question)?)
    }

    /// Writes `answer` as asked for; `table` is for people.
    fn show(
        &self,
        answer: &Value,
        table: impl FnOnce(&mut dyn Write, &Value) -> io::Result<()>,
    ) -> Result<(), Failure> {
        match self.format {
            ListFormat::Json => {
                let mut out = io::stdout().lock();
                serde_json::to_writer_pretty(&mut out, answer).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            ListFormat::Table => table(&mut anstream::stdout().lock(), answer)?,
        }
        Ok(())
    }
}

/// The text at `pointer`; a number or a word as such, nothing as a dash.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => weighbridge_types::Shown(text).to_string(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(text_of).collect();
            if items.is_empty() { "-".to_owned() } else { items.join(", ") }
        }
        Some(other) => other.to_string(),
    }
}

fn text_of(value: &Value) -> String {
    text(value, "")
}

/// The elements at `pointer`.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}
