use std::cell::{Cell, RefCell};
use std::ops::Range;

use serde_json::Value;
use weighbridge_types::{Finding, Link, LinkKind, Metadata, Rule, Shown};

use crate::core::{FileName, FormatError, Input, Options, Scope, engine, generic, identify};

/// Bytes handed to the content scanner at a time.
const CONTENT_WINDOW_BYTES: usize = 1 << 20;
/// Bytes of a window repeated in the next, so that a pattern across the seam
/// is seen.
const CONTENT_OVERLAP_BYTES: usize = 4096;
/// Longest text kept in metadata, bytes.
const METADATA_TEXT_MAX: usize = 64 * 1024;
/// Most facts kept per artifact.
const METADATA_ENTRIES_MAX: usize = 256;
/// Longest evidence kept in a finding, bytes.
const DETAIL_TEXT_MAX: usize = 2000;
/// Most links kept per artifact.
const LINKS_MAX: usize = 65_536;

/// Looks for byte patterns (YARA rules) in content. Formats only know this
/// trait; the scanner brings the engine.
pub trait ContentScanner {
    /// Patterns found in `window`, which starts at `base` of content of
    /// `total` bytes.
    fn scan(&self, window: &[u8], base: u64, total: u64) -> Vec<ContentMatch>;
}

/// A pattern found by a [`ContentScanner`]; `finding.offset` counts from the
/// start of the window.
#[derive(Debug, Clone)]
pub struct ContentMatch {
    /// The finding to report.
    pub finding: Finding,
}

/// Finds nothing: for fuzzing and tests of parsers alone.
pub struct NoContent;

impl ContentScanner for NoContent {
    fn scan(&self, _: &[u8], _: u64, _: u64) -> Vec<ContentMatch> {
        Vec::new()
    }
}

/// Everything one inspection learnt.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Identifier of the outermost format; `None` if nothing recognised it.
    pub format: Option<&'static str>,
    /// Whether it is, or holds, a model or part of one.
    pub is_model: bool,
    /// Facts by name.
    pub metadata: Metadata,
    /// Hits, in the order they were raised.
    pub findings: Vec<Finding>,
    /// Files named.
    pub links: Vec<Link>,
    /// Ranges of the file that are plain tensor data, sorted and disjoint.
    pub opaque: Vec<Range<u64>>,
    /// Stored members by their range in the file, to name pattern hits.
    pub members: Vec<(Range<u64>, String)>,
}

/// State shared by all nested inspections of one artifact.
pub(crate) struct Shared<'a> {
    pub options: Options,
    pub content: &'a dyn ContentScanner,
    pub outcome: RefCell<Outcome>,
    pub expanded_bytes: Cell<u64>,
    pub members_seen: Cell<u64>,
    pub work: Cell<u64>,
    pub findings_dropped: Cell<u64>,
}

/// What a nested [`Inspection::child`] turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Identifier of its format, if recognised.
    pub format: Option<&'static str>,
    /// Whether it is, or holds, a model or part of one.
    pub is_model: bool,
}

/// How nested content of unknown kind deserves to be treated. Containers ask
/// before they unpack everything: a disk is full of archives without a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nothing recognises it.
    Nothing,
    /// A JSON or XML document that no model format claimed, going by as much
    /// of it as was there.
    Document,
    /// Nothing recognises it, but its name is that of a model.
    Named,
    /// Worth inspecting only beside a model.
    Companion,
    /// To be inspected.
    Content,
}

/// The context a format inspects in: takes findings, facts and links, keeps
/// the budgets, opens nested content.
pub struct Inspection<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) name: FileName,
    pub(crate) member: Option<String>,
    pub(crate) depth: u32,
    /// Opaque ranges of derived content, counted from its start.
    pub(crate) opaque_here: Vec<Range<u64>>,
    /// Set when nested content is a model.
    pub(crate) holds_model: bool,
    /// What the content turned out to be on a closer look.
    pub(crate) refined: Option<&'static str>,
    /// Format of the last nested model.
    pub(crate) only_child: Option<&'static str>,
}

impl<'a> Inspection<'a> {
    pub(crate) fn root(shared: &'a Shared<'a>, name: FileName) -> Self {
        Self {
            shared,
            name,
            member: None,
            depth: 0,
            opaque_here: Vec::new(),
            holds_model: false,
            refined: None,
            only_child: None,
        }
    }

    /// What to look for and how far to go.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Name of the current file or member, lower-cased. A hint, never proof.
    #[must_use]
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Path inside containers, if this is nested content.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// Containers around the current content.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Reports a hit of `rule`. `detail` is the evidence; control characters
    /// in it are escaped and it is cut at a limit.
    pub fn find(&mut self, rule: &'static Rule, offset: impl Into<Option<u64>>, detail: impl AsRef<str>) {
        let mut finding = Finding::new(rule, bounded_text(detail.as_ref(), DETAIL_TEXT_MAX));
        finding.offset = offset.into();
        self.report(finding);
    }

    /// Reports a finished finding of the current content.
    pub fn report(&mut self, mut finding: Finding) {
        finding.member.clone_from(&self.member);
        let mut outcome = self.shared.outcome.borrow_mut();
        if outcome.findings.len() < self.shared.options.limits.findings_max {
            outcome.findings.push(finding);
            return;
        }
        self.shared.findings_dropped.set(self.shared.findings_dropped.get() + 1);
        // A flood of notes must not push out the one that matters.
        if let Some(least) = outcome.findings.iter_mut().min_by_key(|f| (f.verdict, f.severity))
            && (least.verdict, least.severity) < (finding.verdict, finding.severity)
        {
            *least = finding;
        }
    }

    /// Records why inspection of the current content stopped early.
    pub fn stopped(&mut self, error: &FormatError) {
        generic::stopped(self, error);
    }

    /// Records a fact. At the outermost content it becomes the artifact's
    /// metadata; inside a container it is kept under `members`.
    pub fn fact(&mut self, key: &str, value: impl Into<Value>) {
        let value = bounded_value(value.into());
        let mut outcome = self.shared.outcome.borrow_mut();
        let facts = match &self.member {
            None => &mut outcome.metadata,
            Some(member) => {
                let Value::Object(members) =
                    outcome.metadata.entry("members").or_insert_with(|| Value::Object(Metadata::new()))
                else {
                    return;
                };
                if members.len() >= METADATA_ENTRIES_MAX && !members.contains_key(member) {
                    return;
                }
                match members.entry(member.clone()).or_insert_with(|| Value::Object(Metadata::new())) {
                    Value::Object(facts) => facts,
                    _ => return,
                }
            }
        };
        if facts.len() < METADATA_ENTRIES_MAX || facts.contains_key(key) {
            facts.insert(bounded_text(key, 256), value);
        }
    }

    /// Says that the content is a special case of the format that recognised
    /// it, by that one's id.
    pub fn refine_format(&mut self, id: &'static str) {
        self.refined = Some(id);
    }

    /// Records that this content names another file.
    pub fn link(&mut self, kind: LinkKind, target: &str) {
        let mut outcome = self.shared.outcome.borrow_mut();
        let link = Link { kind, target: bounded_text(target, 1024) };
        if outcome.links.len() < LINKS_MAX && !outcome.links.contains(&link) {
            outcome.links.push(link);
        }
    }

    /// Marks `range` of `input` as plain tensor data: patterns are looked for
    /// there only under `--deep`.
    pub fn opaque(&mut self, input: &Input, range: Range<u64>) {
        if range.is_empty() || range.end > input.len() || self.shared.options.deep {
            return;
        }
        match (input.file_offset(range.start), input.file_offset(range.end)) {
            (Some(start), Some(end)) => self.shared.outcome.borrow_mut().opaque.push(start..end),
            _ => self.opaque_here.push(range),
        }
    }

    /// Takes `n` steps from the work budget; call it once per opcode, node or
    /// field, so that quadratic inputs stop.
    ///
    /// # Errors
    /// [`FormatError::Limit`] when the budget is spent.
    pub fn work(&mut self, n: u64) -> Result<(), FormatError> {
        let max = self.shared.options.limits.work_max;
        let spent = self.shared.work.get().saturating_add(n);
        self.shared.work.set(spent);
        if spent > max { Err(FormatError::limit("work_max", max)) } else { Ok(()) }
    }

    /// Takes `n` bytes from the expansion budget; decompressors call it for
    /// what they put out.
    ///
    /// # Errors
    /// [`FormatError::Limit`] when the budget is spent.
    pub fn expand(&mut self, n: u64) -> Result<(), FormatError> {
        let max = self.shared.options.limits.expanded_bytes_max;
        let spent = self.shared.expanded_bytes.get().saturating_add(n);
        self.shared.expanded_bytes.set(spent);
        if spent > max { Err(FormatError::limit("expanded_bytes_max", max)) } else { Ok(()) }
    }

    /// Bytes the expansion budget still allows.
    #[must_use]
    pub fn expansion_left(&self) -> u64 {
        self.shared.options.limits.expanded_bytes_max.saturating_sub(self.shared.expanded_bytes.get())
    }

    /// Runs `f` as if inside the member `name`: its findings carry the path.
    /// Use it where the container knows what the member is; otherwise
    /// [`Self::child`] identifies it first.
    pub fn within<T>(&mut self, name: &str, input: &Input, f: impl FnOnce(&mut Inspection<'a>, &Input) -> T) -> T {
        let name = bounded_text(name, 512);
        let member = match &self.member {
            Some(outer) => format!("{outer}!/{name}"),
            None => name,
        };
        if let (Some(start), Some(end)) = (input.file_offset(0), input.file_offset(input.len())) {
            let mut outcome = self.shared.outcome.borrow_mut();
            if outcome.members.len() < LINKS_MAX {
                outcome.members.push((start..end, member.clone()));
            }
        }
        let mut inner = Inspection {
            shared: self.shared,
            name: FileName::new(&member),
            member: Some(member),
            depth: self.depth + 1,
            opaque_here: Vec::new(),
            holds_model: false,
            refined: None,
            only_child: None,
        };
        let out = f(&mut inner, input);
        inner.scan_content(input);
        self.holds_model |= inner.holds_model;
        out
    }

    /// How nested content of this name deserves to be treated. Its first 4 KiB
    /// are enough to ask, except for documents.
    #[must_use]
    pub fn interest(&self, name: &str, input: &Input) -> Interest {
        let name = FileName::new(name);
        match identify(input, &name) {
            Ok(Some(spec)) if spec.scope == Scope::BesideModel => Interest::Companion,
            Ok(Some(spec)) if matches!(spec.id, "json" | "xml") && !engine::claims_model(&name) => Interest::Document,
            Ok(Some(_)) => Interest::Content,
            Ok(None) if engine::claims_model(&name) => Interest::Named,
            Ok(None) => Interest::Nothing,
            Err(_) => Interest::Content,
        }
    }

    /// Whether the current name is that of a model, whatever the content.
    #[must_use]
    pub fn claims_model(&self) -> bool {
        engine::claims_model(&self.name)
    }

    /// Whether nested content of this name is a companion: worth inspecting
    /// only if a model lies beside it. Containers inspect everything else
    /// first, and companions only when [`Self::holds_model`].
    #[must_use]
    pub fn is_companion(&self, name: &str, input: &Input) -> bool {
        matches!(identify(input, &FileName::new(name)), Ok(Some(spec)) if spec.scope == Scope::BesideModel)
    }

    /// Whether nested content inspected so far is a model.
    #[must_use]
    pub fn holds_model(&self) -> bool {
        self.holds_model
    }

    /// Identifies and inspects nested content by whatever it turns out to be.
    /// Depth and member limits apply; going over one is a finding.
    pub fn child(&mut self, name: &str, input: &Input) -> Child {
        let limits = self.shared.options.limits;
        let seen = self.shared.members_seen.get() + 1;
        self.shared.members_seen.set(seen);
        let over = if self.depth >= limits.depth_max {
            Some(FormatError::limit("depth_max", limits.depth_max.into()))
        } else if seen > limits.members_max {
            Some(FormatError::limit("members_max", limits.members_max))
        } else {
            None
        };
        if let Some(over) = over {
            if seen <= limits.members_max + 1 {
                self.within(name, &Input::bytes(Vec::new()), |inner, _| inner.stopped(&over));
            }
            return Child { format: None, is_model: false };
        }
        let child = self.within(name, input, engine::inspect_content);
        self.holds_model |= child.is_model;
        if child.is_model {
            self.only_child = child.format;
        }
        child
    }

    /// Looks for patterns in derived content, outside its opaque ranges. The
    /// file itself is looked at in the pass that digests it.
    pub(crate) fn scan_content(&mut self, input: &Input) {
        if input.file_offset(0).is_some() || input.is_empty() {
            return;
        }
        let opaque = std::mem::take(&mut self.opaque_here);
        for range in gaps(opaque, input.len()) {
            let mut at = range.start;
            while at < range.end {
                let want = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(CONTENT_WINDOW_BYTES);
                let window = match input.read_vec(at, want) {
                    Ok(window) => window,
                    Err(source) => return self.stopped(&FormatError::Io { offset: at, source }),
                };
                if window.is_empty() {
                    return;
                }
                for hit in self.shared.content.scan(&window, at, input.len()) {
                    let mut finding = hit.finding;
                    finding.offset = finding.offset.map(|o| o + at);
                    self.report(finding);
                }
                let step = if want > CONTENT_OVERLAP_BYTES * 2 && at + (window.len() as u64) < range.end {
                    window.len() - CONTENT_OVERLAP_BYTES
                } else {
                    window.len()
                };
                at += step as u64;
            }
        }
    }
}

/// The parts of `[0, len)` that no range of `opaque` covers.
pub(crate) fn gaps(mut opaque: Vec<Range<u64>>, len: u64) -> Vec<Range<u64>> {
    opaque.sort_by_key(|r| r.start);
    let mut out = Vec::new();
    let mut at = 0;
    for range in opaque {
        if range.start > at {
            out.push(at..range.start.min(len));
        }
        at = at.max(range.end);
    }
    if at < len {
        out.push(at..len);
    }
    out
}

/// `text` cut at a character boundary at most `max` bytes in, marked with `…`.
pub(crate) fn bounded_text(text: &str, max: usize) -> String {
    let escaped = Shown(text).to_string();
    if escaped.len() <= max {
        return escaped;
    }
    let cut = (0..=max).rev().find(|n| escaped.is_char_boundary(*n)).unwrap_or(0);
    format!("{}…", escaped.get(..cut).unwrap_or_default())
}

/// A fact with every text in it bounded.
fn bounded_value(value: Value) -> Value {
    match value {
        // Facts keep their line breaks (chat templates); reports escape them.
        Value::String(s) if s.len() > METADATA_TEXT_MAX => Value::String(cut(&s, METADATA_TEXT_MAX)),
        Value::Array(items) => Value::Array(items.into_iter().take(METADATA_ENTRIES_MAX).map(bounded_value).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter().take(METADATA_ENTRIES_MAX).map(|(k, v)| (cut(&k, 256), bounded_value(v))).collect(),
        ),
        other => other,
    }
}

fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_opaque_ranges_leave() {
        assert_eq!(gaps(vec![5..7, 0..2, 6..9], 10), vec![2..5, 9..10]);
        assert_eq!(gaps(Vec::new(), 0), Vec::<Range<u64>>::new());
        assert_eq!(gaps(vec![0..10], 10), Vec::<Range<u64>>::new());
    }

    #[test]
    fn long_evidence_is_cut_at_a_character() {
        assert_eq!(bounded_text("äöü", 3), "ä…");
        assert_eq!(bounded_text("a\n", 9), "a\\n");
    }
}
