use std::collections::BTreeMap;

use half::f16;
use weighbridge_kernels::layout::{GROUP_ROWS, Integers, Layout, pack_group, quantise_group};

use super::blocks::{self, Block};
use super::stored::floats;
use super::{Kind, Rows};
use crate::ImportError;
use crate::error::Name;
use crate::manifest::{Rounded, Share};
use crate::output::Output;

/// Offset of each tensor in the weights file: pages, so that it can be mapped.
const ALIGNMENT: u64 = 4096;

/// How a matrix is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    /// Whether stored integers and scales go in as they are.
    repack: bool,
}

impl Plan {
    #[cfg(test)]
    pub(crate) fn is_exact(self) -> bool {
        self.repack
    }

    /// Itself as the plan of what two others pack, if that costs neither
    /// exactness nor room.
    pub(crate) fn joins(self, one: Self, other: Self) -> Option<Self> {
        (self.repack == one.repack
            && self.repack == other.repack
            && self.layout == one.layout
            && one.layout == other.layout)
            .then_some(self)
    }
}

/// How to pack parts of `kinds` into one matrix: exactly if one layout holds
/// all of them, as floats of `floats` if that is what they are, else by
/// rounding.
pub(crate) fn plan(kinds: &[Kind], floats: Layout) -> Plan {
    let (first, rest) = kinds.split_first().map_or((Kind::F32, kinds), |(first, rest)| (*first, rest));
    let exact = exact_layouts(first).iter().find(|l| rest.iter().all(|k| exact_layouts(*k).contains(l)));
    if let Some(layout) = exact {
        return Plan { layout: *layout, repack: true };
    }
    let layout = if kinds.iter().all(|k| k.is_float()) {
        floats
    } else if kinds.iter().any(|k| k.is_float()) {
        Layout::F16
    } else {
        Layout::Q8H
    };
    Plan { layout, repack: false }
}

/// Layouts that hold every value of a kind, smallest first.
const fn exact_layouts(kind: Kind) -> &'static [Layout] {
    match kind {
        Kind::Q4_0 => &[Layout::Q4, Layout::Q4A, Layout::Q8, Layout::Q8H],
        Kind::Q4_1 | Kind::Q4K => &[Layout::Q4A],
        Kind::Q5_0 | Kind::Q8_0 => &[Layout::Q8, Layout::Q8H],
        Kind::Q3K | Kind::Q6K => &[Layout::Q8H],
        _ => &[],
    }
}

/// Where a packed or plain tensor lies in the weights file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Writes the weights file.
pub(crate) struct Packer<'a> {
    output: Output<'a>,
    shares: BTreeMap<&'static str, (u32, u64)>,
    rounded: BTreeMap<String, (Kind, Layout)>,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    raw: Vec<u8>,
    values: Vec<u8>,
    scales: Vec<f32>,
    minima: Vec<f32>,
    floats: Vec<f32>,
    packed: Vec<u8>,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(output: Output<'a>) -> Self {
        Self { output, shares: BTreeMap::new(), rounded: BTreeMap::new(), buffers: Buffers::default() }
    }

    /// Writes floats as they are.
    pub(crate) fn floats(&mut self, values: &[f32]) -> Result<Extent, ImportError> {
        self.output.align(ALIGNMENT)?;
        let offset = self.output.len();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.output.write(&bytes)?;
        Ok(Extent { offset, length: bytes.len() as u64 })
    }

    /// Packs the rows of `parts`, one after the other.
    pub(crate) fn stacked(&mut self, parts: &[Rows<'_>], plan: Plan) -> Result<Extent, ImportError> {
        let rows: usize = parts.iter().map(Rows::count).sum();
        self.groups(parts, plan, rows.div_ceil(GROUP_ROWS), |group| {
            let (mut from, mut left) = (group * GROUP_ROWS, GROUP_ROWS);
            let mut runs = Vec::new();
            for part in parts {
                if from >= part.count() {
                    from -= part.count();
                    continue;
                }
                let count = left.min(part.count() - from);
                if count > 0 {
                    runs.push((part, from, count));
                }
                (from, left) = (0, left - count);
            }
            runs
        })
    }

    /// Packs groups of `even` and `odd` in turn.
    pub(crate) fn interleaved(&mut self, even: &Rows<'_>, odd: &Rows<'_>, plan: Plan) -> Result<Extent, ImportError> {
        let parts = [even.clone(), odd.clone()];
        self.groups(&parts, plan, 2 * even.count().div_ceil(GROUP_ROWS), |group| {
            let part = if group % 2 == 0 { even } else { odd };
            let from = group / 2 * GROUP_ROWS;
            vec![(part, from, GROUP_ROWS.min(part.count().saturating_sub(from)))]
        })
    }

    fn groups<'r>(
        &mut self,
        parts: &[Rows<'_>],
        plan: Plan,
        groups: usize,
        runs: impl Fn(usize) -> Vec<(&'r Rows<'r>, usize, usize)>,
    ) -> Result<Extent, ImportError> {
        let first = parts.first().ok_or_else(|| ImportError::tensor("", "is missing; the model is incomplete"))?;
        let inputs = first.inputs();
        let named = |source| ImportError::Pack { tensor: Name::new(first.name()), source };
        self.output.align(ALIGNMENT)?;
        let offset = self.output.len();
        self.buffers.packed.resize(plan.layout.group_bytes(inputs).map_err(named)?, 0);
        for group in 0..groups {
            let runs = runs(group);
            let rows: usize = runs.iter().map(|(_, _, count)| count).sum();
            let changed = self.buffers.group(&runs, plan, rows, inputs)?;
            for (rows, to) in runs.iter().zip(changed).filter(|(_, changed)| *changed).map(|((r, ..), _)| (*r, plan)) {
                self.rounded.entry(rows.name().to_owned()).or_insert((rows.kind(), to.layout));
            }
            self.output.write(&self.buffers.packed)?;
        }
        let length = self.output.len() - offset;
        let share = self.shares.entry(plan.layout.name()).or_default();
        *share = (share.0.saturating_add(1), share.1.saturating_add(length));
        Ok(Extent { offset, length })
    }

    /// The file, what layouts are in it, and what was rounded.
    pub(crate) fn finish(self) -> (crate::FileEntry, Vec<Share>, Vec<Rounded>) {
        let shares = self.shares.into_iter();
        let shares = shares.map(|(layout, (matrices, bytes))| Share { layout: layout.to_owned(), matrices, bytes });
        let rounded = self.rounded.into_iter().map(|(tensor, (kind, layout))| Rounded {
            tensor,
            from: kind.name().to_owned(),
            to: layout.name().to_owned(),
        });
        (self.output.finish(), shares.collect(), rounded.collect())
    }
}

impl Buffers {
    /// Packs one group; says of each run whether its values changed.
    fn group(
        &mut self,
        runs: &[(&Rows<'_>, usize, usize)],
        plan: Plan,
        rows: usize,
        inputs: usize,
    ) -> Result<Vec<bool>, ImportError> {
        let mut changed = Vec::with_capacity(runs.len());
        self.values.clear();
        self.scales.clear();
        self.minima.clear();
        self.floats.clear();
        for (part, from, count) in runs {
            self.raw.resize(count * part.row_bytes(), 0);
            part.read(*from, &mut self.raw)?;
            if plan.repack {
                let (values, scales, minima) = (&mut self.values, &mut self.scales, &mut self.minima);
                blocks::each(part.kind(), &self.raw, |block| encode(plan.layout, &block, values, scales, minima));
                changed.push(false);
            } else {
                let start = self.floats.len();
                self.floats.resize(start + count * inputs, 0.0);
                let target = self.floats.get_mut(start..).unwrap_or_default();
                floats(part.kind(), &self.raw, target);
                let halved = |v: &f32| f16::from_f32(*v).to_f32() == *v;
                changed.push(plan.layout != Layout::F16 || part.kind() != Kind::F16 && !target.iter().all(halved));
            }
        }
        let packed = if plan.repack {
            let source = Integers { values: &self.values, scales: &self.scales, minima: &self.minima };
            pack_group(plan.layout, source, rows, inputs, &mut self.packed)
        } else {
            quantise_group(plan.layout, &self.floats, rows, inputs, &mut self.packed)
        };
        let name = runs.first().map_or("", |(part, ..)| part.name());
        packed.map_err(|source| ImportError::Pack { tensor: Name::new(name), source })?;
        Ok(changed)
    }
}

/// Appends one block as `layout` takes it; [`exact_layouts`] says which do.
fn encode(layout: Layout, block: &Block, values: &mut Vec<u8>, scales: &mut Vec<f32>, minima: &mut Vec<f32>) {
    let [scale, _] = block.scales;
    let [minimum, _] = block.minima;
    // Symmetric nibbles are affine ones with a minimum of eight steps; times
    // eight loses nothing.
    let shift = match layout {
        Layout::Q4 => 8,
        Layout::Q4A if block.symmetric => 8,
        _ => 0,
    };
    values.extend(block.values.iter().map(|v| v.wrapping_add(shift).cast_unsigned()));
    match layout {
        Layout::Q4A => {
            scales.push(scale);
            minima.push(if block.symmetric { 8.0 * scale } else { minimum });
        }
        Layout::Q8H => scales.extend(block.scales),
        _ => scales.push(scale),
    }
}
