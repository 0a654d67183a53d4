use std::time::Duration;

/// What a step may take while answers wait for their next token.
const SHARED: Duration = Duration::from_millis(250);
/// What a step may take while nobody waits: the worker must show between steps
/// that it lives.
const ALONE: Duration = Duration::from_secs(2);
/// Fewest tokens of prompts in a step.
const TOKENS_MIN: usize = 32;
/// Steps that read fewer say little of what reading costs.
const MEASURED_MIN: usize = 16;

/// How much of prompts to read in a step, by the time that steps took. Results
/// do not depend on it: the pieces of a prompt change no bit of the logits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Seconds for a token of a step; nothing before the first was measured.
    cost: Option<f64>,
}

impl Pace {
    /// Tokens of prompts for the next step of at most `most` tokens. `shared`:
    /// whether answers are written in it.
    pub(super) fn tokens(&self, most: usize, shared: bool) -> usize {
        let time = if shared { SHARED } else { ALONE };
        let fit = self.cost.map_or(most as f64 / 4.0, |cost| time.as_secs_f64() / cost);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let fit = fit as usize;
        fit.max(TOKENS_MIN).min(most)
    }

    /// A step of `tokens`, of which it read so many of prompts, took `time`.
    pub(super) fn learn(&mut self, tokens: usize, read: usize, time: Duration) {
        if read < MEASURED_MIN {
            return;
        }
        let now = time.as_secs_f64().max(1e-9) / tokens.max(1) as f64;
        // Slower counts at once, faster by and by.
        self.cost = Some(self.cost.map_or(now, |before| now.max(f64::midpoint(before, now))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_about_as_long_as_it_may() {
        let mut pace = Pace::default();
        assert_eq!((pace.tokens(512, true), pace.tokens(512, false)), (128, 128), "nothing is known yet");
        pace.learn(128, 128, Duration::from_millis(256));
        assert_eq!((pace.tokens(512, true), pace.tokens(512, false)), (125, 512));
        // Tens of seconds for 512 tokens.
        pace.learn(125, 125, Duration::from_secs(10));
        assert_eq!((pace.tokens(512, true), pace.tokens(512, false)), (32, 32));
        for _ in 0..20 {
            pace.learn(32, 32, Duration::from_millis(8));
        }
        assert_eq!((pace.tokens(512, true), pace.tokens(512, false)), (512, 512));
        assert_eq!(pace.tokens(16, true), 16);
    }

    #[test]
    fn a_fixed_cost_of_each_step_is_found_out() {
        let mut pace = Pace::default();
        let took = |tokens: usize| Duration::from_millis(50 + tokens as u64);
        for _ in 0..30 {
            let tokens = pace.tokens(512, true);
            pace.learn(tokens, tokens, took(tokens));
        }
        let tokens = pace.tokens(512, true);
        assert!((180..=210).contains(&tokens), "{tokens}");
    }

    #[test]
    fn steps_that_only_write_teach_nothing() {
        let mut pace = Pace::default();
        pace.learn(1, 0, Duration::from_secs(5));
        pace.learn(9, 8, Duration::from_secs(5));
        assert_eq!(pace.tokens(512, false), 128);
    }
}
