//! `weighbridge import`: a GGUF file or safetensors folder becomes a model
//! that the inference service loads as it is.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};
use weighbridge_platform::frames;
use weighbridge_types::Shown;

use super::parts::{self, Open};
use super::worker::{DONE, FAILED, FILES, MESSAGE_BYTES_MAX, Order};
use crate::exit::{Failure, Outcome};

/// Room that an import may take beyond twice its source, bytes.
const ROOM_BYTES: u64 = 1 << 30;
/// How long an import may make nothing: rows of the largest models take seconds.
const SILENCE_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct ImportOptions {
    /// A GGUF file, or a folder with config.json and *.safetensors
    model: PathBuf,

    /// The folder to make
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// How matrices that are stored as floats are kept [default: int8; f16 for GGUF]
    #[arg(long, value_enum, value_name = "KIND")]
    quantisation: Option<Kind>,

    /// Where a model has rotations for short and for long texts, take the long ones (Phi 3)
    #[arg(long)]
    long_context: bool,
}

/// How weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// 4 bits
    Int4,
    /// 8 bits
    Int8,
    /// Half precision
    F16,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::F16 => "f16",
        }
    }
}

pub fn run(options: &ImportOptions) -> Result<Outcome, Failure> {
    let files = parts::of_source(&options.model)?;
    into_folder(&options.model, files, &options.output, options.quantisation, options.long_context)?;
    println!(
        "{} is imported; `weighbridge serve --model {}` serves it",
        shown(&options.model),
        options.output.display()
    );
    Ok(Outcome::Yes)
}

fn shown(path: &Path) -> String {
    Shown(&path.to_string_lossy()).to_string()
}

/// Imports `files` into the new folder `to`, which is there when all of it is.
pub fn into_folder(
    model: &Path,
    files: Vec<Open>,
    to: &Path,
    quantisation: Option<Kind>,
    long_context: bool,
) -> Result<(), Failure> {
    let failure = |action: &'static str, path: &Path| {
        let path = path.display().to_string();
        move |source| Failure::File { action, path, source }
    };
    if to.exists() {
        return Err(Failure::Usage(format!("`{}` is there already; choose another folder", to.display())));
    }
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.partial", std::process::id()));
    let unfinished = to.with_file_name(name);
    fs::create_dir_all(&unfinished).map_err(failure("make", &unfinished))?;
    let made = convert(model, files, &unfinished, quantisation, long_context);
    let made = made.and_then(|()| fs::rename(&unfinished, to).map_err(failure("write", to)));
    if made.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

/// In a confined process; what it makes comes back over a socket.
fn convert(
    model: &Path,
    files: Vec<Open>,
    to: &Path,
    quantisation: Option<Kind>,
    long_context: bool,
) -> Result<(), Failure> {
    let (ours, theirs) = UnixStream::pair()?;
    let program = parts::program()?;
    let child = Command::new(&program)
        .arg("__import-worker")
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .map_err(|source| Failure::File { action: "run", path: program.display().to_string(), source })?;
    let size: u64 = files.iter().filter_map(|f| f.file.metadata().ok()).map(|m| m.len()).sum();
    let order = Order {
        names: files.iter().map(|f| f.name.clone()).collect(),
        quantisation: quantisation.map(|k| k.name().to_owned()),
        long_context,
    };
    let handles: Vec<_> = files.iter().map(|f| f.file.as_fd()).collect();
    frames::send(&ours, &order, &handles, MESSAGE_BYTES_MAX)?;
    let most = size.saturating_mul(2).saturating_add(ROOM_BYTES);
    let received = made_by(child, &ours, to, most, SILENCE_MAX);
    let refused = |reason: &str| Failure::Usage(format!("{} cannot be imported: {}", shown(model), Shown(reason)));
    match received {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(refused(&reason)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(refused("the process that reads it died; the model is damaged, or takes more memory than it may"))
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            let minutes = SILENCE_MAX.as_secs() / 60;
            Err(refused(&format!(
                "the process that reads it made nothing for {minutes} minutes and was ended; \
                 try again while this machine and the disk of the model do less"
            )))
        }
        Err(source) => Err(Failure::File { action: "write", path: to.display().to_string(), source }),
    }
}

/// What [`receive`] makes of what `child` sends, which is ended in any case: at
/// the latest after a `silence`.
fn made_by(
    mut child: Child,
    socket: &UnixStream,
    folder: &Path,
    most: u64,
    silence: Duration,
) -> io::Result<Option<String>> {
    let received = socket.set_read_timeout(Some(silence)).and_then(|()| receive(socket, folder, most));
    let _ = child.kill();
    let _ = child.wait();
    received
}

/// Writes what arrives into `folder`, at most `most` bytes; what went wrong in
/// the worker's words.
fn receive(socket: &UnixStream, folder: &Path, mut most: u64) -> io::Result<Option<String>> {
    let mut input = BufReader::with_capacity(MESSAGE_BYTES_MAX, socket);
    let mut writing: Option<(u8, BufWriter<File>)> = None;
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let mut head = [0; 5];
        input.read_exact(&mut head)?;
        let [number, length @ ..] = head;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        let body = bytes.get_mut(..length).ok_or_else(|| io::Error::other("the worker sent more than it may"))?;
        input.read_exact(body)?;
        most = most
            .checked_sub(body.len() as u64)
            .ok_or_else(|| io::Error::other("the import is far larger than its source"))?;
        // A file is complete when another begins, or all are.
        if let Some((_, file)) = writing.take_if(|(current, _)| number >= DONE || *current != number) {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        match number {
            DONE => return Ok(None),
            FAILED => return Ok(Some(String::from_utf8_lossy(body).into_owned())),
            number => {
                let name =
                    FILES.get(usize::from(number)).ok_or_else(|| io::Error::other("the worker sent no such file"))?;
                let (_, file) = match &mut writing {
                    Some(open) => open,
                    // Each file once: it comes front to back.
                    None => {
                        let file = File::create_new(folder.join(name))?;
                        writing.insert((number, BufWriter::with_capacity(MESSAGE_BYTES_MAX, file)))
                    }
                };
                file.write_all(body)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_makes_nothing_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let silent = Command::new("sleep").arg("1000").stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        let process = rustix::process::Pid::from_child(&silent);
        let received = made_by(silent, &ours, folder.path(), 1000, Duration::from_millis(50));
        assert!(matches!(received.unwrap_err().kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        assert!(rustix::process::test_kill_process(process).is_err(), "it is gone");
    }
}
