//! How likely tokens were, for those who ask.

use weighbridge_inference_wire::Failure;

use super::row::Scratch;
use super::select;

/// Natural logarithms of probabilities at one place, of the raw logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Chances {
    /// Of the drawn token.
    pub drawn: f32,
    /// The likeliest, best first.
    pub likeliest: Vec<(u32, f32)>,
}

/// Chances of `drawn` and of the `count` likeliest tokens.
///
/// # Errors
/// Logits that are no numbers: the model's fault.
pub fn chances(logits: &[f32], drawn: u32, count: usize, scratch: &mut Scratch) -> Result<Chances, Failure> {
    let (row, room) = scratch.read(logits)?;
    let top = row.likeliest()?.1;
    let norm = f64::from(top) + select::total(&row, top, 1.0).ln();
    // Wire JSON has no infinities.
    #[expect(clippy::cast_possible_truncation, reason = "the difference of two logits' size")]
    let of = |logit: f32| ((f64::from(logit) - norm) as f32).max(-9999.0);
    let mut likeliest = Vec::new();
    if count > 0 {
        select::best(&row, count, room);
        room.candidates.sort_unstable_by(select::likelier);
        likeliest.extend(room.candidates.iter().map(|&(token, logit)| (token, of(logit))));
    }
    Ok(Chances { drawn: logits.get(drawn as usize).map_or(-9999.0, |&logit| of(logit)), likeliest })
}
