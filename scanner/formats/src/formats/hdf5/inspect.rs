use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde_json::Value;
use weighbridge_types::LinkKind;

use super::links::SoftLinks;
use super::rules;
use crate::codec::hdf5::{Attribute, Content, Dataset, File, Object, Storage, Target};
use crate::codec::location::{Reach, reach};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::keras_config::inspect_blob;

/// Datasets of bytes or text up to this size are looked into.
const SMALL_BYTES_MAX: usize = 4 << 20;
/// Early stops reported for one file; more of them say nothing new.
const DAMAGE_MAX: usize = 5;
/// Findings of one kind reported for one file.
const REPEATS_MAX: usize = 20;
/// Kinds of elements kept.
const DTYPES_MAX: usize = 64;
/// Filters that come with the library: deflate, shuffle, Fletcher 32, SZIP,
/// n-bit, scale and offset.
const LIBRARY_FILTERS: std::ops::RangeInclusive<u16> = 1..=6;
/// Filters that plugins registered with the HDF Group.
const REGISTERED_FILTERS: &[u16] = &[
    305, 307, 32000, 32001, 32002, 32003, 32004, 32005, 32006, 32007, 32008, 32009, 32010, 32011, 32012, 32013, 32014,
    32015, 32016, 32017, 32018, 32019, 32020, 32021, 32022, 32023, 32024, 32025, 32026, 32027, 32028, 32029, 32030,
    32031, 32032,
];

/// What a file holds, counted.
#[derive(Debug, Default)]
pub(in crate::formats) struct Summary {
    version: u8,
    objects: usize,
    /// Datasets of numbers.
    pub tensors: u64,
    /// Numbers in them.
    pub elements: u64,
    dtypes: BTreeMap<String, u64>,
}

impl Summary {
    /// Records the counts as facts.
    pub fn record(&self, ctx: &mut Inspection<'_>) {
        ctx.fact("format_version", self.version);
        ctx.fact("object_count", self.objects);
        ctx.fact("tensor_count", self.tensors);
        let dtypes = self.dtypes.iter().map(|(name, n)| (name.clone(), Value::from(*n)));
        ctx.fact("dtypes", Value::Object(dtypes.collect()));
    }
}

/// Inspects every object of `file` for what an HDF5 reader does with it, and
/// hands each to `visit` first.
///
/// # Errors
/// Why the walk ended early.
pub(in crate::formats) fn inspect_file(
    ctx: &mut Inspection<'_>,
    file: &File,
    input: &Input,
    mut visit: impl FnMut(&mut Inspection<'_>, &File, &Object) -> ControlFlow<FormatError>,
) -> Result<Summary, FormatError> {
    let mut seen = Seen { ctx, file, input, summary: Summary::default(), damage: 0, told: BTreeMap::new() };
    seen.surroundings();
    let mut soft = SoftLinks::default();
    let walk = file.walk(|object| {
        if let Err(error) = seen.ctx.work(1 + object.links.len() as u64 + object.attributes.len() as u64) {
            return ControlFlow::Break(error);
        }
        visit(seen.ctx, file, &object)?;
        soft.note(&object);
        seen.object(&object)
    });
    if let Some(looping) = soft.first_loop() {
        seen.ctx.find(&rules::LINK_LOOP, None, format!("soft link `/{looping}` leads back to itself"));
    }
    seen.summary.version = file.version();
    seen.summary.objects = walk.objects;
    walk.stopped.map_or(Ok(seen.summary), Err)
}

struct Seen<'s, 'a> {
    ctx: &'s mut Inspection<'a>,
    file: &'s File,
    input: &'s Input,
    summary: Summary,
    damage: usize,
    told: BTreeMap<&'static str, usize>,
}

impl Seen<'_, '_> {
    /// What stands before the superblock and after the end.
    fn surroundings(&mut self) {
        let before = self.file.user_block_bytes();
        if let Some(block) = self.input.slice(0, before).filter(|b| !b.is_empty()) {
            self.ctx.child("user block", &block);
        }
        match self.file.end() {
            Some(end) if end < self.input.len() => {
                self.ctx.child("trailing data", &self.input.tail_from(end));
            }
            Some(end) if end > self.input.len() => {
                self.stopped(&FormatError::truncated("end of file address", self.input.len()));
            }
            _ => {}
        }
    }

    fn object(&mut self, object: &Object) -> ControlFlow<FormatError> {
        for error in &object.damage {
            // A spent budget ends the walk; other damage ends with the object.
            self.stopped(error);
        }
        for link in &object.links {
            let path = format!("/{}", [object.path.as_str(), &link.name].join("/").trim_start_matches('/'));
            match &link.target {
                Target::External { file, .. } => self.other_file(file, format_args!("link `{path}`")),
                Target::UserDefined(kind) => {
                    self.tell(&rules::USER_DEFINED_LINK, format!("link `{path}` is of type {kind}"));
                }
                Target::Hard(_) | Target::Soft(_) => {}
            }
        }
        for attribute in &object.attributes {
            self.attribute(object, attribute);
        }
        match &object.dataset {
            Some(dataset) => self.dataset(object, dataset),
            None => ControlFlow::Continue(()),
        }
    }

    fn stopped(&mut self, error: &FormatError) {
        self.damage += 1;
        if self.damage <= DAMAGE_MAX {
            self.ctx.stopped(error);
        }
    }

    /// Reports `rule`, but not without end.
    fn tell(&mut self, rule: &'static weighbridge_types::Rule, detail: String) {
        let told = self.told.entry(rule.id).or_default();
        *told += 1;
        if *told <= REPEATS_MAX {
            self.ctx.find(rule, None, detail);
        }
    }

    /// `name` is another file that `what` refers to.
    fn other_file(&mut self, name: &str, what: std::fmt::Arguments<'_>) {
        let rule = match reach(name) {
            Reach::Outside(_) => &rules::EXTERNAL_OUTSIDE,
            Reach::Odd(_) | Reach::Inside => &rules::EXTERNAL_BESIDE,
        };
        self.tell(rule, format!("{what} leads to `{name}`"));
        self.ctx.link(LinkKind::ExternalData, name);
    }

    fn attribute(&mut self, object: &Object, attribute: &Attribute) {
        let place = format!("/{}@{}", object.path, attribute.name);
        match self.file.content(attribute) {
            Ok(content) => self.content(&content, &place),
            Err(error) => self.stopped(&error),
        }
    }

    /// Looks for pickles, code and archives in texts and bytes.
    fn content(&mut self, content: &Content, place: &str) {
        let (Content::Texts(items) | Content::Blobs(items)) = content else { return };
        for item in items {
            if inspect_blob(self.ctx, item, place) {
                self.tell(&rules::EMBEDDED_CONTENT, format!("`{place}` holds {} bytes of it", item.len()));
            }
        }
    }

    fn dataset(&mut self, object: &Object, dataset: &Dataset) -> ControlFlow<FormatError> {
        let path = &object.path;
        for external in &dataset.external {
            self.other_file(&external.name, format_args!("external storage of `/{path}`"));
        }
        if let Storage::Virtual(sources) = &dataset.storage {
            for source in sources.iter().filter(|s| s.file != ".") {
                self.other_file(&source.file, format_args!("virtual dataset `/{path}`"));
            }
        }
        for filter in &dataset.filters {
            if LIBRARY_FILTERS.contains(&filter.id) {
                continue;
            }
            let known = REGISTERED_FILTERS.contains(&filter.id);
            let rule = if known { &rules::PLUGIN_FILTER } else { &rules::UNKNOWN_FILTER };
            self.tell(rule, format!("filter {} `{}` of `/{path}`", filter.id, filter.name));
        }
        self.count(dataset);
        self.place(path, dataset);
        if dataset.is_numeric() {
            return ControlFlow::Continue(());
        }
        match self.file.small_data(self.ctx, dataset, SMALL_BYTES_MAX) {
            Ok(Some(raw)) => match self.file.elements(&dataset.datatype, &raw) {
                Ok(content) => self.content(&content, &format!("/{path}")),
                Err(error) => self.stopped(&error),
            },
            Ok(None) => {}
            // A budget, not the file's fault.
            Err(error @ FormatError::Limit { limit: "work_max" | "expanded_bytes_max", .. }) => {
                return ControlFlow::Break(error);
            }
            Err(error) => self.stopped(&error),
        }
        ControlFlow::Continue(())
    }

    fn count(&mut self, dataset: &Dataset) {
        if !dataset.is_numeric() {
            return;
        }
        self.summary.tensors += 1;
        self.summary.elements = self.summary.elements.saturating_add(dataset.elements().unwrap_or(0));
        let name = dataset.datatype.name();
        if self.summary.dtypes.len() < DTYPES_MAX || self.summary.dtypes.contains_key(&name) {
            *self.summary.dtypes.entry(name).or_default() += 1;
        }
    }

    /// Marks numbers as opaque, and says so when they are not there.
    fn place(&mut self, path: &str, dataset: &Dataset) {
        let ranges = match &dataset.storage {
            Storage::Contiguous { address: Some(address), len } if dataset.external.is_empty() => {
                let start = self.file.offset(*address);
                let bytes = dataset.bytes().unwrap_or(*len);
                std::iter::once(start..start.saturating_add(bytes)).collect()
            }
            Storage::Chunked(_) => {
                let (ranges, stopped) = self.file.chunk_ranges(dataset);
                if let Some(error) = stopped {
                    self.stopped(&error);
                }
                ranges
            }
            _ => return,
        };
        for range in ranges {
            if range.end > self.input.len() {
                self.stopped(&FormatError::truncated(format!("data of `/{path}`"), range.start));
                return;
            }
            if dataset.is_numeric() {
                self.ctx.opaque(self.input, range);
            }
        }
    }
}
