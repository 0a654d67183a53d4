//! The confined halves of `import` and `serve`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use weighbridge_import::{
    GRAPH_FILE, Input, MANIFEST_FILE, Options, Part, Quantisation, ReadAt, Sink, Source, TEMPLATE_FILE, TOKENIZER_FILE,
    WEIGHTS_FILE,
};
use weighbridge_platform::frames;
use weighbridge_sandbox::{Layer, Limits, Profile};

use crate::exit::{Failure, Outcome, with_causes};

/// Largest message either way, bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Files of an import, by the number they are written under.
pub const FILES: &[&str] = &[GRAPH_FILE, WEIGHTS_FILE, TOKENIZER_FILE, TEMPLATE_FILE, MANIFEST_FILE];
/// Number of the message that ends an import well.
pub const DONE: u8 = 254;
/// Number of the message that says why there is none.
pub const FAILED: u8 = 255;
/// Memory of an import: it converts a few rows at a time.
const MEMORY_BYTES: u64 = 4 << 30;

/// What is to be imported; its files are beside the message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Names of the files, in the order of the descriptors.
    pub names: Vec<String>,
    /// `int4`, `int8`, `f16`.
    pub quantisation: Option<String>,
    /// See `weighbridge_import::Options`.
    pub long_context: bool,
}

#[derive(Debug, Args)]
pub struct LibraryOptions {
    /// ONNX Runtime's library
    library: PathBuf,
}

/// Runs one model; standard input is the socket to the supervisor.
pub fn model_worker(options: &LibraryOptions) -> Result<Outcome, Failure> {
    weighbridge_worker::run_on_standard_input(&options.library).map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(Outcome::Yes)
}

/// Imports one model; standard input is the socket to `weighbridge import`.
pub fn import_worker() -> Result<Outcome, Failure> {
    // Kernels that cannot leave what the parent closes anyhow.
    #[cfg(target_os = "linux")]
    let _ = weighbridge_platform::descriptors::close_inherited();
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)?;
    let Some((order, handles)) = frames::receive::<Order>(&socket, MESSAGE_BYTES_MAX)? else { return Ok(Outcome::Yes) };
    let limits = Limits { memory_bytes: MEMORY_BYTES, ..Limits::default() };
    let confinement = weighbridge_sandbox::confine(Profile::Scan, &limits);
    let mut out = Out(socket);
    let unconfined = |layer: &Layer| matches!(layer, Layer::Missing(_));
    if unconfined(&confinement.seccomp) && unconfined(&confinement.landlock) {
        out.send(FAILED, b"this system confines no process, so nothing is imported here")?;
        return Ok(Outcome::No);
    }
    match import(order, handles.into_iter().map(File::from).collect(), &mut out) {
        Ok(()) => out.send(DONE, &[])?,
        Err(reason) => out.send(FAILED, reason.as_bytes())?,
    }
    Ok(Outcome::Yes)
}

fn import(order: Order, files: Vec<File>, out: &mut Out) -> Result<(), String> {
    let quantisation = match order.quantisation.as_deref() {
        None => None,
        Some("int4") => Some(Quantisation::Int4),
        Some("int8") => Some(Quantisation::Int8),
        Some("f16") => Some(Quantisation::F16),
        Some(other) => return Err(format!("`{other}` is no way to store weights; int4, int8 and f16 are")),
    };
    if order.names.len() != files.len() {
        return Err("not all files arrived".to_owned());
    }
    let mut source = Source::new();
    for (name, file) in order.names.into_iter().zip(files) {
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        source.push(Part { name, input: Input::file(Bytes(file), length), sha256: None });
    }
    let options = Options { quantisation, long_context: order.long_context };
    weighbridge_import::import(&source, out, &options).map(|_| ()).map_err(|e| with_causes(&e))
}

struct Bytes(File);

impl ReadAt for Bytes {
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(to, offset)
    }
}

/// What was made, on its way out: a number, a length, bytes.
struct Out(UnixStream);

impl Out {
    fn send(&mut self, number: u8, bytes: &[u8]) -> io::Result<()> {
        for (n, part) in bytes.chunks(MESSAGE_BYTES_MAX).enumerate() {
            if n > 0 && number >= DONE {
                return Ok(());
            }
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.0.write_all(&[number])?;
            self.0.write_all(&length.to_le_bytes())?;
            self.0.write_all(part)?;
        }
        if bytes.is_empty() {
            self.0.write_all(&[number, 0, 0, 0, 0])?;
        }
        Ok(())
    }
}

impl Sink for Out {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        let number = FILES.iter().position(|name| *name == file).and_then(|n| u8::try_from(n).ok());
        self.send(number.ok_or(io::ErrorKind::InvalidInput)?, bytes)
    }
}
