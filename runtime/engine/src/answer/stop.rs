use weighbridge_inference_wire::Failure;

use super::open_end;
use crate::failure::invalid;

/// Most stop texts; clients of the field send at most 4.
const STOP_COUNT_MAX: usize = 64;
/// Longest stop text.
const STOP_BYTES_MAX: usize = 1024;

/// Looks for texts that end an answer.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    wanted: Vec<String>,
    held: String,
}

impl Stops {
    /// For these texts; empty ones count for nothing.
    ///
    /// # Errors
    /// Too many or too long, in field `stop`.
    pub fn new(wanted: &[String]) -> Result<Self, Failure> {
        if wanted.len() > STOP_COUNT_MAX {
            return Err(invalid("stop", format!("`stop` has {} texts; at most {STOP_COUNT_MAX} fit", wanted.len())));
        }
        if let Some(long) = wanted.iter().find(|text| text.len() > STOP_BYTES_MAX) {
            let size = long.len();
            return Err(invalid("stop", format!("a text of `stop` has {size} bytes; at most {STOP_BYTES_MAX} fit")));
        }
        Ok(Self { wanted: wanted.iter().filter(|text| !text.is_empty()).cloned().collect(), held: String::new() })
    }

    /// Takes more text; lets go of what no stop text can begin in. True at the
    /// first stop text, which is left out, as is all after it.
    pub fn push(&mut self, text: &str, free: &mut String) -> bool {
        self.held.push_str(text);
        // The one that is complete first; of several, the one that began first.
        let found = self.wanted.iter().filter_map(|stop| self.held.find(stop).map(|at| (at + stop.len(), at))).min();
        if let Some((_, at)) = found {
            free.push_str(self.held.get(..at).unwrap_or_default());
            self.held.clear();
            return true;
        }
        let keep = self.held.split_off(open_end(&self.held, self.wanted.iter().map(String::as_str)));
        free.push_str(&self.held);
        self.held = keep;
        false
    }

    /// What may be the beginning of a stop text.
    pub(super) fn held(&self) -> &str {
        &self.held
    }

    /// No more comes: lets go of the rest.
    pub fn finish(&mut self, free: &mut String) {
        free.push_str(&std::mem::take(&mut self.held));
    }
}
