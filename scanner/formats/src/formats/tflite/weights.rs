use std::collections::HashSet;
use std::ops::Range;

use super::rules;
use crate::codec::flatbuffers::Table;
use crate::codec::tensors::{Element, Survey};
use crate::core::{FormatError, Input, Inspection};

/// Most buffers in one model.
const BUFFERS_MAX: u32 = 2_000_000;
/// Findings about places outside the file.
const FINDINGS_MAX: u32 = 8;

/// Where the bytes of constants lie.
pub struct Weights {
    input: Input,
    ranges: Vec<Option<Range<u64>>>,
    described: HashSet<usize>,
    /// End of the last buffer kept outside the FlatBuffer.
    pub end: u64,
}

/// Reads the table of buffers.
pub fn read(ctx: &mut Inspection<'_>, model: &Table<'_>, input: &Input) -> Result<Weights, FormatError> {
    let mut weights = Weights { input: input.clone(), ranges: Vec::new(), described: HashSet::new(), end: 0 };
    let Some(buffers) = model.vector(4, 4, "buffers")? else { return Ok(weights) };
    if buffers.len() > BUFFERS_MAX {
        return Err(FormatError::limit("tflite_buffers_max", BUFFERS_MAX.into()));
    }
    let mut outside = 0;
    for buffer in buffers.tables("buffer") {
        ctx.work(1)?;
        let buffer = buffer?;
        let inside = buffer.vector(0, 1, "buffer data")?.map(|data| data.range()).filter(|range| !range.is_empty());
        // Of models over 2 GiB; counted from the start of the file, valid above 1.
        let offset = buffer.u64(1, 0, "buffer offset")?;
        let range = if offset > 1 {
            let size = buffer.u64(2, 0, "buffer size")?;
            let range = offset.checked_add(size).filter(|end| *end <= input.len()).map(|end| offset..end);
            if range.is_none() && outside < FINDINGS_MAX {
                outside += 1;
                ctx.find(
                    &rules::BUFFER_OUTSIDE,
                    buffer.position(),
                    format!("{size} bytes at {offset} of {}", input.len()),
                );
            }
            weights.end = weights.end.max(range.as_ref().map_or(0, |r| r.end));
            range
        } else {
            inside
        };
        weights.ranges.push(range);
    }
    Ok(weights)
}

impl Weights {
    /// Buffers there are.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Whether buffer `index` holds anything: the tensor is a constant.
    pub fn holds(&self, index: u32) -> bool {
        usize::try_from(index).ok().and_then(|i| self.ranges.get(i)).is_some_and(Option::is_some)
    }

    /// The content of buffer `index`, which describes the model and is no
    /// tensor.
    pub fn describes(&mut self, index: u32) -> Option<Input> {
        let index = usize::try_from(index).ok()?;
        let range = self.ranges.get(index)?.clone()?;
        self.described.insert(index);
        self.input.slice(range.start, range.end - range.start)
    }

    /// Looks at the bytes of constants.
    pub fn survey(&self, ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
        let mut survey = Survey::new(false);
        for (i, range) in self.ranges.iter().enumerate() {
            let Some(range) = range.as_ref().filter(|_| !self.described.contains(&i)) else { continue };
            survey.tensor(ctx, input, range.clone(), Element::Other, &|| format!("buffer {i}"))?;
            ctx.opaque(input, range.clone());
        }
        Ok(())
    }
}
