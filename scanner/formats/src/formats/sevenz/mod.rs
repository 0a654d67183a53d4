//! 7z archives (7-Zip, `7zFormat.txt`).

mod header;

use std::io::{self, Read, Seek, SeekFrom};

use sevenz_rust2::{ArchiveReader, Password};
use weighbridge_types::Rule;

use crate::codec::archive::rules::{self, UNDER_MODEL_NAME};
use crate::codec::archive::{self, Kind, Survey};
use crate::codec::stream;
use crate::core::{
    Confidence, FileName, FormatError, FormatSpec, Input, Inspection, Interest, Recognise, Scope, Sniff,
};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "7z",
    name: "7z archive",
    extensions: &["7z"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: RULES,
};

const RULES: &[&Rule] = &[
    &UNDER_MODEL_NAME,
    &rules::ENCRYPTED,
    &rules::PATH_TRAVERSAL,
    &rules::LINK_ESCAPE,
    &rules::WRITE_THROUGH_LINK,
    &rules::PRIVILEGED,
    &rules::DEVICE,
];

/// Bytes of an entry looked at to tell what it is.
const PEEK_BYTES: usize = 4096;
/// Largest entry unpacked whole: it is held in memory.
const ENTRY_BYTES_MAX: u64 = 64 << 20;
/// Most entries kept back until it is known whether a model lies beside them.
const KEPT_BACK_MAX: usize = 1000;
const KEPT_BACK_BYTES_MAX: usize = 16 << 20;

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(header::SIGNATURE) { Confidence::Likely } else { Confidence::No }
}

/// Whether a name is that of a file which PyTorch or pickle would load.
pub(super) fn is_model_name(name: &FileName) -> bool {
    name.has_extension(&[
        "pt",
        "pth",
        "bin",
        "ckpt",
        "pkl",
        "pickle",
        "joblib",
        "dill",
        "model",
        "safetensors",
        "keras",
        "h5",
    ])
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    if is_model_name(ctx.name()) {
        let detail = format!("`{}` is a 7z archive", ctx.name().as_str());
        ctx.find(&UNDER_MODEL_NAME, 0, detail);
    }
    header::check(input)?;
    let mut archive = match ArchiveReader::new(SeekableInput { input: input.clone(), at: 0 }, Password::empty()) {
        Ok(archive) => archive,
        Err(error) => return refused(ctx, &error),
    };
    header::check_blocks(archive.archive())?;
    archive.set_thread_count(1);
    let mut survey = Survey::default();
    for entry in &archive.archive().files {
        ctx.work(1)?;
        survey.add(entry.name(), kind_of(entry), unix_mode(entry), 0);
    }
    let mut entries = Entries { kept_back: Vec::new(), kept_back_bytes: 0, executables: 0, stopped: None };
    let walked = archive.for_each_entries(|entry, content| {
        if entry.is_directory() || !entry.has_stream() {
            return Ok(true);
        }
        match entries.inspect(ctx, entry.name(), entry.size(), content) {
            Ok(()) => Ok(true),
            Err(error) => {
                entries.stopped = Some(error);
                Ok(false)
            }
        }
    });
    for _ in 0..entries.executables {
        survey.add_executable();
    }
    if ctx.holds_model() && !survey.is_program() {
        for (name, content) in std::mem::take(&mut entries.kept_back) {
            ctx.child(&name, &content);
        }
    }
    survey.report(ctx, true);
    match (entries.stopped, walked) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => refused(ctx, &error),
        (None, Ok(())) => Ok(()),
    }
}

/// What the library refuses is encrypted, damaged, or packed in a way it does
/// not know.
fn refused(ctx: &mut Inspection<'_>, error: &sevenz_rust2::Error) -> Result<(), FormatError> {
    let text = error.to_string();
    let encrypted = matches!(error, sevenz_rust2::Error::PasswordRequired | sevenz_rust2::Error::MaybeBadPassword(_))
        || text.contains("AES");
    if encrypted {
        ctx.find(&rules::ENCRYPTED, 0, "its table of contents or its content");
        return Ok(());
    }
    Err(FormatError::malformed("7z archive", 0, text))
}

fn kind_of(entry: &sevenz_rust2::ArchiveEntry) -> Kind<'static> {
    match unix_mode(entry) & 0o170_000 {
        _ if entry.is_directory() => Kind::Folder,
        // The target is the content; only that it is a link is known here.
        0o120_000 => Kind::SymbolicLink(""),
        0o020_000 | 0o060_000 | 0o010_000 => Kind::Device,
        _ => Kind::File,
    }
}

/// 7-Zip for Unix keeps the mode in the upper half of the Windows attributes
/// and says so in bit 15.
fn unix_mode(entry: &sevenz_rust2::ArchiveEntry) -> u32 {
    let attributes = entry.windows_attributes();
    if attributes & 0x8000 != 0 { attributes >> 16 } else { 0 }
}

struct Entries {
    kept_back: Vec<(String, Input)>,
    kept_back_bytes: usize,
    executables: u32,
    stopped: Option<FormatError>,
}

impl Entries {
    fn inspect(
        &mut self,
        ctx: &mut Inspection<'_>,
        name: &str,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), FormatError> {
        ctx.work(1)?;
        // What is passed over is unpacked too, to get at what follows it.
        ctx.expand(size)?;
        let head = stream::head(ctx, &mut *content, PEEK_BYTES)?;
        if let Some(stopped) = head.stopped {
            return Err(stopped);
        }
        let interest = ctx.interest(name, &head.as_input(size));
        if archive::is_executable(&head.bytes) {
            self.executables += 1;
        }
        if matches!(interest, Interest::Nothing) || (interest == Interest::Document && head.complete) {
            return Ok(());
        }
        if size > ENTRY_BYTES_MAX {
            return Err(FormatError::limit("sevenz_entry_bytes_max", ENTRY_BYTES_MAX));
        }
        let mut whole = head.bytes;
        let broken = content.take(ENTRY_BYTES_MAX).read_to_end(&mut whole).err();
        let len = whole.len();
        let whole = Input::bytes(whole);
        match interest {
            Interest::Companion => {
                if self.kept_back.len() < KEPT_BACK_MAX && self.kept_back_bytes + len <= KEPT_BACK_BYTES_MAX {
                    self.kept_back_bytes += len;
                    self.kept_back.push((name.to_owned(), whole));
                }
            }
            Interest::Document if ctx.interest(name, &whole) != Interest::Content => {}
            _ => {
                ctx.child(name, &whole);
            }
        }
        broken.map_or(Ok(()), |e| Err(FormatError::malformed("compressed data", len as u64, e.to_string())))
    }
}

/// An [`Input`] that the library can seek in.
struct SeekableInput {
    input: Input,
    at: u64,
}

impl Read for SeekableInput {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for SeekableInput {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(by) => self.input.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests;
