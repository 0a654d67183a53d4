//! What lies in a tar archive, whatever it is read from.

use crate::codec::archive::{self, Kind as Surveyed, Survey};
use crate::codec::stream::Forward;
use crate::codec::tar::{Entry, Kind, Seekable, Source, Walk};
use crate::core::{FormatError, Input, Inspection, Interest};
use crate::formats::tar::rules;

/// Bytes of an entry looked at to tell what it is.
const PEEK_BYTES: usize = 4096;
/// Largest JSON document read to see whether it is a model's.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// Most entries kept back until it is known whether a model lies beside them.
const KEPT_BACK_MAX: usize = 4096;
/// Most bytes of them, where the archive is compressed.
const KEPT_BACK_BYTES_MAX: u64 = 16 << 20;
/// Examples named in one finding.
const EXAMPLES_MAX: usize = 3;

/// What the archive is for.
#[derive(Debug, Clone, Copy, Default)]
pub enum Purpose {
    /// Anything: what lies in it counts only if a model does.
    #[default]
    Any,
    /// It is a model: everything in it counts.
    Model {
        /// Entries that the format inspects by itself.
        inspected: fn(&Entry) -> bool,
    },
}

impl Purpose {
    fn is_model(self) -> bool {
        matches!(self, Self::Model { .. })
    }

    fn is_inspected(self, entry: &Entry) -> bool {
        matches!(self, Self::Model { inspected } if inspected(entry))
    }
}

/// A source whose entries can be opened.
pub trait Contents: Source {
    /// The content of `entry`, whose data comes next; cut off where the
    /// archive is.
    ///
    /// # Errors
    /// If the source fails.
    fn content(&mut self, entry: &Entry) -> Result<Input, FormatError>;

    /// Bytes put out by decompressors so far.
    fn produced(&self) -> u64;

    /// Whether content read later must be unpacked again.
    fn is_stream(&self) -> bool;
}

impl Contents for Seekable {
    fn content(&mut self, entry: &Entry) -> Result<Input, FormatError> {
        let input = self.input();
        Ok(input.slice(entry.data, entry.size).unwrap_or_else(|| input.tail_from(entry.data)))
    }

    fn produced(&self) -> u64 {
        0
    }

    fn is_stream(&self) -> bool {
        false
    }
}

impl Contents for Forward {
    fn content(&mut self, entry: &Entry) -> Result<Input, FormatError> {
        let io = |source: std::io::Error| FormatError::malformed("compressed data", entry.data, source.to_string());
        self.skip_to(entry.data).map_err(io)?;
        let want = usize::try_from(entry.size).unwrap_or(usize::MAX).min(PEEK_BYTES);
        let mut head = vec![0; want];
        let n = self.read_full(&mut head).map_err(io)?;
        head.truncate(n);
        Ok(self.part(head, entry.size))
    }

    fn produced(&self) -> u64 {
        Self::produced(self)
    }

    fn is_stream(&self) -> bool {
        true
    }
}

/// Inspects the archive in `source`. Where no model turns up, nothing is
/// reported but what attacks whoever unpacks it.
///
/// # Errors
/// Whatever stops the walk, if there is a model to miss.
pub fn inspect<S: Contents>(ctx: &mut Inspection<'_>, source: S, purpose: Purpose) -> Result<(), FormatError> {
    let mut walk = Walk::new(source);
    let mut state = Contained { purpose, ..Contained::default() };
    let ended = state.walk(ctx, &mut walk);
    let is_model = purpose.is_model();
    if ctx.holds_model() || is_model {
        state.report(ctx);
    }
    if is_model || !state.survey.is_program() {
        let beside_model = ctx.holds_model() || is_model;
        for (name, content) in std::mem::take(&mut state.kept_back) {
            ctx.work(1)?;
            if beside_model || ctx.interest(&name, &content) == Interest::Named {
                ctx.child(&name, &content);
            }
        }
    }
    state.survey.report(ctx, false);
    match ended {
        // A broken archive of something else is no business of ours.
        Err(error) if ctx.holds_model() || is_model || ctx.claims_model() || !state.seen_entry => Err(error),
        Err(error @ FormatError::Limit { .. }) => Err(error),
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Contained {
    purpose: Purpose,
    survey: Survey,
    seen_entry: bool,
    kept_back: Vec<(String, Input)>,
    kept_back_bytes: u64,
    charged: u64,
    checksum_wrong: Vec<(u64, String)>,
    sizes_differ: Vec<(u64, String)>,
    after_end: Vec<(u64, String)>,
    sparse: Vec<(u64, String)>,
}

impl Contained {
    fn walk<S: Contents>(&mut self, ctx: &mut Inspection<'_>, walk: &mut Walk<S>) -> Result<(), FormatError> {
        loop {
            let next = walk.next_entry();
            self.charge(ctx, walk)?;
            let Some(entry) = next? else { return Ok(()) };
            ctx.work(1)?;
            self.seen_entry = true;
            self.note(&entry);
            if entry.kind == Kind::File && entry.size > 0 && !self.purpose.is_inspected(&entry) {
                let content = walk.source().content(&entry)?;
                self.inspect_entry(ctx, &entry, content, walk.source().is_stream())?;
                self.charge(ctx, walk)?;
            }
        }
    }

    /// Charges what the stream put out since the last time.
    fn charge<S: Contents>(&mut self, ctx: &mut Inspection<'_>, walk: &mut Walk<S>) -> Result<(), FormatError> {
        let produced = walk.source().produced();
        let new = produced.saturating_sub(self.charged);
        self.charged = produced;
        ctx.expand(new)
    }

    fn inspect_entry(
        &mut self,
        ctx: &mut Inspection<'_>,
        entry: &Entry,
        content: Input,
        is_stream: bool,
    ) -> Result<(), FormatError> {
        let interest = ctx.interest(&entry.name, &content);
        match interest {
            Interest::Content => {
                ctx.child(&entry.name, &content);
            }
            Interest::Nothing | Interest::Document if !self.purpose.is_model() => {}
            Interest::Document if entry.size > DOCUMENT_BYTES_MAX => {}
            _ => self.keep_back(entry, content, is_stream)?,
        }
        Ok(())
    }

    /// Keeps an entry for after the walk, when it is known whether a model
    /// lies beside it, and whether the archive is a program. From a stream its content is taken along, since going
    /// back would unpack everything again; of a program the head is enough.
    fn keep_back(&mut self, entry: &Entry, content: Input, is_stream: bool) -> Result<(), FormatError> {
        let io = |source| FormatError::Io { offset: entry.data, source };
        let head = content.head(PEEK_BYTES).map_err(io)?;
        let is_executable = archive::is_executable(&head);
        if is_executable {
            self.survey.add_executable();
        }
        if self.kept_back.len() >= KEPT_BACK_MAX {
            return Ok(());
        }
        let content = if !is_stream {
            content
        } else if is_executable {
            Input::derived(head, entry.size)
        } else {
            if self.kept_back_bytes + entry.size > KEPT_BACK_BYTES_MAX {
                return Ok(());
            }
            self.kept_back_bytes += entry.size;
            let max = usize::try_from(entry.size).unwrap_or(usize::MAX);
            Input::bytes(content.head(max).map_err(io)?)
        };
        self.kept_back.push((entry.name.clone(), content));
        Ok(())
    }

    fn note(&mut self, entry: &Entry) {
        let kind = match entry.kind {
            Kind::SymbolicLink => Surveyed::SymbolicLink(&entry.link),
            Kind::HardLink => Surveyed::HardLink(&entry.link),
            Kind::Device => Surveyed::Device,
            Kind::Folder => Surveyed::Folder,
            _ => Surveyed::File,
        };
        self.survey.add(&entry.name, kind, entry.mode, entry.header);
        let add = |list: &mut Vec<(u64, String)>, text: String| {
            if list.len() < EXAMPLES_MAX {
                list.push((entry.header, text));
            }
        };
        if entry.checksum_wrong {
            add(&mut self.checksum_wrong, format!("`{}`", entry.name));
        }
        if let Some(other) = entry.other_size {
            add(
                &mut self.sizes_differ,
                format!("`{}`: {} by the pax header, {other} by its own", entry.name, entry.size),
            );
        }
        if entry.after_end {
            add(&mut self.after_end, format!("`{}`", entry.name));
        }
        if entry.kind == Kind::Sparse {
            add(&mut self.sparse, format!("`{}`", entry.name));
        }
    }

    /// What counts only beside a model.
    fn report(&self, ctx: &mut Inspection<'_>) {
        for (found, rule) in [
            (&self.checksum_wrong, &rules::HEADER_DAMAGED),
            (&self.sizes_differ, &rules::SIZE_MISMATCH),
            (&self.after_end, &rules::HIDDEN_MEMBER),
            (&self.sparse, &rules::SPARSE),
        ] {
            if let Some((offset, _)) = found.first() {
                let shown: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
                ctx.find(rule, *offset, shown.join("; "));
            }
        }
    }
}
