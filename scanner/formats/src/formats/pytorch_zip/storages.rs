use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::{dtype, rules};
use crate::codec::zip::{Listing, Member};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::pickle::Facts;

/// Most findings of one rule about storages.
const FINDINGS_MAX: u32 = 8;

/// Storages that pickles name, held against the members of an archive.
pub(crate) struct Storages<'a> {
    by_name: HashMap<&'a str, &'a Member>,
    /// Members named by some pickle.
    named: HashSet<String>,
    /// Members that are exactly the tensor data they should be, by central
    /// directory header.
    settled: HashSet<u64>,
    seen: HashSet<(String, u64)>,
    parameters: u64,
    dtypes: BTreeMap<&'static str, u64>,
    devices: Vec<String>,
    raised: HashMap<&'static str, u32>,
}

impl<'a> Storages<'a> {
    pub(crate) fn of(listing: &'a Listing) -> Self {
        let mut by_name = HashMap::new();
        for member in &listing.members {
            by_name.entry(member.name.as_str()).or_insert(member);
        }
        Self {
            by_name,
            named: HashSet::new(),
            settled: HashSet::new(),
            seen: HashSet::new(),
            parameters: 0,
            dtypes: BTreeMap::new(),
            devices: Vec::new(),
            raised: HashMap::new(),
        }
    }

    /// Holds the storages of one pickle against the members at `locate(key)`.
    pub(crate) fn compare(
        &mut self,
        ctx: &mut Inspection<'_>,
        facts: &Facts,
        locate: impl Fn(&str) -> String,
    ) -> Result<(), FormatError> {
        for storage in &facts.storages {
            ctx.work(1)?;
            let path = locate(&storage.key);
            if !self.seen.insert((path.clone(), storage.numel)) {
                continue;
            }
            if storage.key.contains(['/', '\\', '\0']) || storage.key.split('.').all(str::is_empty) {
                self.raise(ctx, &rules::STORAGE_KEY, format!("key `{}`", storage.key));
                continue;
            }
            let first = self.named.insert(path.clone());
            let Some((name, bytes_each)) = dtype::element(&storage.dtype) else { continue };
            let expected = storage.numel.checked_mul(bytes_each);
            match self.by_name.get(path.as_str()).copied() {
                None if storage.numel == 0 || storage.location == "meta" => {}
                None => self.raise(ctx, &rules::STORAGE_MISSING, format!("`{path}` is named but not in the archive")),
                Some(member) => self.hold_against(ctx, member, expected, storage.numel, name),
            }
            if first {
                self.count(name, storage.numel, &storage.location);
            }
        }
        Ok(())
    }

    fn hold_against(
        &mut self,
        ctx: &mut Inspection<'_>,
        member: &Member,
        expected: Option<u64>,
        numel: u64,
        dtype: &str,
    ) {
        let detail = format!("`{}` has {} bytes for {numel} elements of {dtype}", member.name, member.size);
        match expected {
            Some(expected) if expected == member.size => {
                self.settled.insert(member.central_header);
            }
            Some(expected) if expected < member.size => self.raise(ctx, &rules::STORAGE_LONGER, detail),
            _ => self.raise(ctx, &rules::STORAGE_LENGTH, detail),
        }
    }

    fn raise(&mut self, ctx: &mut Inspection<'_>, rule: &'static weighbridge_types::Rule, detail: String) {
        let count = self.raised.entry(rule.id).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX {
            ctx.find(rule, None, detail);
        }
    }

    fn count(&mut self, dtype: &'static str, numel: u64, location: &str) {
        if dtype != "untyped" {
            self.parameters = self.parameters.saturating_add(numel);
        }
        *self.dtypes.entry(dtype).or_default() += 1;
        if location != "cpu" && self.devices.len() < 16 && !self.devices.iter().any(|d| d == location) {
            self.devices.push(location.to_owned());
        }
    }

    /// Marks the settled members as plain tensor data. Compressed ones need
    /// not be unpacked unless tensors are looked at too.
    pub(crate) fn mark_opaque(
        &self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        listing: &Listing,
    ) -> Result<(), FormatError> {
        for member in listing.members.iter().filter(|m| self.settled(m)) {
            ctx.work(1)?;
            if member.size == 0 || member.method != 0 && !ctx.options().deep {
                continue;
            }
            match listing.open(ctx, input, member) {
                Ok((content, stopped)) => {
                    ctx.within(&member.name, &content, |ctx, content| ctx.opaque(content, 0..content.len()));
                    if let Some(error) = stopped {
                        ctx.stopped(&error);
                    }
                }
                Err(error) => ctx.stopped(&error),
            }
        }
        Ok(())
    }

    /// Whether `member` is exactly the data of a storage.
    pub(crate) fn settled(&self, member: &Member) -> bool {
        self.settled.contains(&member.central_header)
    }

    /// Whether some pickle names the member `path`.
    pub(crate) fn names(&self, path: &str) -> bool {
        self.named.contains(path)
    }

    /// Records what the storages add up to.
    pub(crate) fn facts(&self, ctx: &mut Inspection<'_>) {
        let count: u64 = self.dtypes.values().sum();
        if count == 0 {
            return;
        }
        ctx.fact("tensor_count", count);
        if self.parameters > 0 {
            ctx.fact("parameters", self.parameters);
        }
        let dtypes: Map<String, Value> = self.dtypes.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
        ctx.fact("dtypes", Value::Object(dtypes));
        if !self.devices.is_empty() {
            ctx.fact("devices", self.devices.clone());
        }
    }
}
