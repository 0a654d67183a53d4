//! Draws a token from a row of logits.
//!
//! Order, as Hugging Face transformers and vLLM have it: bias, repetition,
//! frequency and presence penalties, grammar mask; then temperature, `top_k`,
//! `top_p` over what `top_k` left, `min_p` relative to the likeliest; then the
//! draw. Chances in reports are those of the raw logits.
//!
//! Equal logits are ordered by token number and the exponential is our own, so
//! one seed draws the same tokens on every machine, whoever shares the batch.

mod chances;
mod random;
mod row;
mod select;

use std::collections::HashMap;

use weighbridge_inference_wire::{Failure, Sampling};

pub use chances::{Chances, chances};
pub use random::Random;
pub(crate) use random::seed_of_choice;
pub use row::Scratch;

use crate::failure::{invalid, model};
use row::{Changes, Room, Row};

/// Most tokens with a bias in one request.
const BIAS_COUNT_MAX: usize = 4096;
/// Largest bias, up or down; what the field's clients send.
const BIAS_MAX: f32 = 100.0;

/// How one answer draws its tokens.
#[derive(Debug, Clone)]
pub struct Sampler {
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    repetition: f32,
    frequency: f32,
    presence: f32,
    bias: Vec<(u32, f32)>,
    random: Random,
    /// Times each token was written; 0 for those of the prompt alone.
    written: HashMap<u32, u32>,
}

impl Sampler {
    /// A sampler for one answer. `seed` is used as it is.
    ///
    /// # Errors
    /// A value out of its range, by field.
    pub fn new(wanted: &Sampling, defaults: &Sampling, vocabulary: usize, seed: u64) -> Result<Self, Failure> {
        let of = |field: &str, wanted: Option<f32>, default: Option<f32>, neutral: f32, low: f32, high: f32| {
            let value = wanted.or(default).unwrap_or(neutral);
            if value.is_finite() && (low..=high).contains(&value) {
                Ok(value)
            } else {
                Err(invalid(field, format!("`{field}` is {value}; give a number from {low} to {high}")))
            }
        };
        if wanted.logit_bias.len() > BIAS_COUNT_MAX {
            let count = wanted.logit_bias.len();
            return Err(invalid(
                "logit_bias",
                format!("`logit_bias` names {count} tokens; at most {BIAS_COUNT_MAX} fit"),
            ));
        }
        for &(token, bias) in &wanted.logit_bias {
            if token as usize >= vocabulary || !bias.is_finite() || bias.abs() > BIAS_MAX {
                return Err(invalid(
                    "logit_bias",
                    format!(
                        "`logit_bias` has {bias} for token {token}; give numbers from -{BIAS_MAX} to {BIAS_MAX}, and \
                         tokens below {vocabulary}"
                    ),
                ));
            }
        }
        Ok(Self {
            temperature: of("temperature", wanted.temperature, defaults.temperature, 1.0, 0.0, 100.0)?,
            top_k: wanted.top_k.or(defaults.top_k).unwrap_or(0) as usize,
            top_p: of("top_p", wanted.top_p, defaults.top_p, 1.0, 0.0, 1.0)?,
            min_p: of("min_p", wanted.min_p, defaults.min_p, 0.0, 0.0, 1.0)?,
            repetition: of(
                "repetition_penalty",
                wanted.repetition_penalty,
                defaults.repetition_penalty,
                1.0,
                0.01,
                100.0,
            )?,
            frequency: of("frequency_penalty", wanted.frequency_penalty, defaults.frequency_penalty, 0.0, -2.0, 2.0)?,
            presence: of("presence_penalty", wanted.presence_penalty, defaults.presence_penalty, 0.0, -2.0, 2.0)?,
            bias: wanted.logit_bias.clone(),
            random: Random::new(seed),
            written: HashMap::new(),
        })
    }

    fn remembers(&self) -> bool {
        self.repetition != 1.0 || self.frequency != 0.0 || self.presence != 0.0
    }

    /// Tells which tokens the prompt has, once, before the first draw.
    pub fn read(&mut self, prompt: &[u32]) {
        if self.repetition != 1.0 {
            for &token in prompt {
                self.written.entry(token).or_insert(0);
            }
        }
    }

    /// Tells which token was written.
    pub fn wrote(&mut self, token: u32) {
        if self.remembers() {
            *self.written.entry(token).or_insert(0) += 1;
        }
    }

    /// Draws one token. `mask` has a bit for each token that may be drawn, 32
    /// a word; `banned` may not be either.
    ///
    /// # Errors
    /// Logits that are no numbers, or nothing left to draw: the model's fault.
    pub fn draw(
        &mut self,
        logits: &[f32],
        mask: Option<&[u32]>,
        banned: &[u32],
        scratch: &mut Scratch,
    ) -> Result<u32, Failure> {
        let plain = mask.is_none() && banned.is_empty() && self.bias.is_empty() && !self.remembers();
        let (row, room) = if plain {
            scratch.read(logits)?
        } else {
            scratch.changed(logits, |row| {
                self.adjust(row);
                if let Some(mask) = mask {
                    row.keep(mask);
                }
                banned.iter().for_each(|&token| row.token(token, |_| f32::NEG_INFINITY));
            })?
        };
        let best = row.likeliest()?;
        if self.temperature == 0.0 { Ok(best.0) } else { self.pick(&row, best, room) }
    }

    fn adjust(&self, row: &mut Changes<'_>) {
        for &(token, bias) in &self.bias {
            row.token(token, |logit| logit + bias);
        }
        for (&token, &count) in &self.written {
            row.token(token, |logit| {
                let logit = if logit > 0.0 { logit / self.repetition } else { logit * self.repetition };
                // Counts stay far below 2^24.
                if count > 0 { logit - (self.frequency * count as f32 + self.presence) } else { logit }
            });
        }
    }

    fn pick(&mut self, row: &Row<'_>, best: (u32, f32), room: &mut Room) -> Result<u32, Failure> {
        let spread = 1.0 / self.temperature.max(1e-5);
        // Below this a token weighs less than min_p of the likeliest.
        let floor =
            if self.min_p > 0.0 { best.1 + self.temperature.max(1e-5) * self.min_p.ln() } else { f32::NEG_INFINITY };
        let limited = self.top_k > 0 && self.top_k < row.len();
        let uniform = self.random.uniform();
        if !limited && self.top_p >= 1.0 {
            return Ok(select::draw_all(row, best, spread, floor, uniform, &mut room.sums));
        }
        let total = if limited {
            select::best(row, self.top_k, room);
            select::weigh(&mut room.candidates, best.1, spread)
        } else {
            select::nucleus(row, best.1, spread, self.top_p, &mut room.candidates)
        };
        select::draw(room, total * f64::from(self.top_p), self.min_p, uniform)
            .ok_or_else(|| model("no token is left to draw from the model's logits"))
    }
}

#[cfg(test)]
mod tests;
