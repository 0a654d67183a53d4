//! A row of logits in chunks whose largest are known, so that chunks of no
//! chance are never looked at, and those that are changed are copied alone.

use weighbridge_inference_wire::Failure;

use crate::failure::model;

/// Logits in a chunk: two words of a mask.
pub(super) const CHUNK: usize = 64;
/// Numbers looked at side by side, so that the compiler uses vectors.
pub(super) const LANES: usize = 16;

/// Room for drawing, lent by whoever draws for many answers.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    tops: Vec<f32>,
    /// Chunks that were changed lie here, at their own places.
    own: Vec<f32>,
    changed: Vec<bool>,
    pub(super) room: Room,
}

/// Room for candidates.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    pub(super) candidates: Vec<(u32, f32)>,
    pub(super) ordered: Vec<(u32, f32)>,
    pub(super) sums: Vec<f64>,
    pub(super) tops: Vec<f32>,
}

/// Logits as they are drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    logits: &'a [f32],
    /// The largest of each chunk; minus infinity for those not to be looked at.
    pub(super) tops: &'a [f32],
    own: &'a [f32],
    changed: &'a [bool],
}

impl<'a> Row<'a> {
    pub(super) fn len(&self) -> usize {
        self.logits.len()
    }

    /// Logits of a chunk. Meaningless where its largest is minus infinity.
    pub(super) fn chunk(&self, number: usize) -> &'a [f32] {
        let changed = self.changed.get(number).copied().unwrap_or(false);
        part(if changed { self.own } else { self.logits }, number)
    }

    /// Chunks that hold a logit of at least `floor`, and their first token.
    pub(super) fn above(self, floor: f32) -> impl Iterator<Item = (u32, &'a [f32])> {
        let first = |number: usize| u32::try_from(number * CHUNK).unwrap_or(u32::MAX);
        let tops = self.tops.iter().enumerate().filter(move |&(_, &top)| top >= floor && top > f32::NEG_INFINITY);
        tops.map(move |(number, _)| (first(number), self.chunk(number)))
    }

    /// The largest logit and its first place.
    ///
    /// # Errors
    /// If all are minus infinity.
    pub(super) fn likeliest(&self) -> Result<(u32, f32), Failure> {
        let best = self.tops.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let found = self.above(best).find_map(|(first, chunk)| {
            let place = chunk.iter().position(|&logit| logit == best)?;
            Some((first + u32::try_from(place).ok()?, best))
        });
        found.ok_or_else(|| model("no token may be drawn: all logits are minus infinity"))
    }
}

impl Scratch {
    /// Looks through `logits` once.
    ///
    /// # Errors
    /// A logit that is no number or positively infinite.
    pub(super) fn read<'a>(&'a mut self, logits: &'a [f32]) -> Result<(Row<'a>, &'a mut Room), Failure> {
        self.glance(logits)?;
        self.changed.clear();
        Ok(self.row(logits))
    }

    /// As [`Scratch::read`], with what `change` makes of it.
    ///
    /// # Errors
    /// As there, before the change or after it.
    pub(super) fn changed<'a>(
        &'a mut self,
        logits: &'a [f32],
        change: impl FnOnce(&mut Changes<'_>),
    ) -> Result<(Row<'a>, &'a mut Room), Failure> {
        self.glance(logits)?;
        if self.tops.iter().all(|&top| top == f32::NEG_INFINITY) {
            return Err(model("no token may be drawn: all logits are minus infinity"));
        }
        self.changed.clear();
        self.changed.resize(self.tops.len(), false);
        self.own.resize(logits.len(), 0.0);
        change(&mut Changes { logits, own: &mut self.own, changed: &mut self.changed, tops: &mut self.tops });
        for (number, top) in self.tops.iter_mut().enumerate() {
            if self.changed.get(number) == Some(&true) && *top > f32::NEG_INFINITY {
                *top = top_of(part(&self.own, number)).ok_or_else(unsound)?;
            }
        }
        Ok(self.row(logits))
    }

    fn glance(&mut self, logits: &[f32]) -> Result<(), Failure> {
        self.tops.clear();
        self.tops.reserve(logits.len().div_ceil(CHUNK));
        for chunk in logits.chunks(CHUNK) {
            self.tops.push(top_of(chunk).ok_or_else(unsound)?);
        }
        Ok(())
    }

    fn row<'a>(&'a mut self, logits: &'a [f32]) -> (Row<'a>, &'a mut Room) {
        (Row { logits, tops: &self.tops, own: &self.own, changed: &self.changed }, &mut self.room)
    }
}

/// Changes a few logits of many.
pub(super) struct Changes<'a> {
    logits: &'a [f32],
    own: &'a mut [f32],
    changed: &'a mut [bool],
    tops: &'a mut [f32],
}

impl Changes<'_> {
    /// Changes the logit of one token, if there is such a token.
    pub(super) fn token(&mut self, token: u32, change: impl FnOnce(f32) -> f32) {
        let token = token as usize;
        if token < self.logits.len()
            && let Some(logit) = self.chunk(token / CHUNK).get_mut(token % CHUNK)
        {
            *logit = change(*logit);
        }
    }

    /// Rules out all tokens whose bit in `mask` is clear.
    pub(super) fn keep(&mut self, mask: &[u32]) {
        for number in 0..self.changed.len() {
            let word = |at: usize| u64::from(mask.get(2 * number + at).copied().unwrap_or(0));
            match word(1) << 32 | word(0) {
                u64::MAX => {}
                0 => {
                    if let Some(top) = self.tops.get_mut(number) {
                        *top = f32::NEG_INFINITY;
                    }
                }
                word => {
                    for (bit, logit) in self.chunk(number).iter_mut().enumerate() {
                        if word >> bit & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
    }

    /// A chunk that may be changed.
    fn chunk(&mut self, number: usize) -> &mut [f32] {
        let end = self.own.len().min((number + 1) * CHUNK);
        let chunk = self.own.get_mut(number * CHUNK..end).unwrap_or_default();
        if let Some(changed) = self.changed.get_mut(number)
            && !std::mem::replace(changed, true)
        {
            chunk.copy_from_slice(part(self.logits, number));
        }
        chunk
    }
}

fn part(row: &[f32], number: usize) -> &[f32] {
    row.get(number * CHUNK..row.len().min((number + 1) * CHUNK)).unwrap_or_default()
}

/// The largest of a chunk, if all are numbers and none is positive infinity.
fn top_of(chunk: &[f32]) -> Option<f32> {
    let mut tops = [f32::NEG_INFINITY; LANES];
    // All bits set where a logit is NaN or positive infinity.
    let mut unsound = [0u32; LANES];
    let (parts, rest) = chunk.as_chunks::<LANES>();
    for part in parts {
        for ((top, unsound), &logit) in tops.iter_mut().zip(&mut unsound).zip(part) {
            *top = if logit > *top { logit } else { *top };
            *unsound |= if logit < f32::INFINITY { 0 } else { u32::MAX };
        }
    }
    for ((top, unsound), &logit) in tops.iter_mut().zip(&mut unsound).zip(rest) {
        *top = if logit > *top { logit } else { *top };
        *unsound |= if logit < f32::INFINITY { 0 } else { u32::MAX };
    }
    let mut width = LANES / 2;
    while width > 0 {
        let (left, right) = tops.split_at_mut(width);
        for (left, &right) in left.iter_mut().zip(right.iter()) {
            *left = if right > *left { right } else { *left };
        }
        width /= 2;
    }
    let unsound = unsound.iter().fold(0, |all, &one| all | one);
    tops.first().copied().filter(|_| unsound == 0)
}

fn unsound() -> Failure {
    model("the model's logits are not numbers; its weights or its graph are damaged")
}
