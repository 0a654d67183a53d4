//! Refuses prompts that are too long with little work.

use weighbridge_inference_wire::{Failure, FailureKind};

use super::Text;
use crate::failure::failed;

/// Fewest bytes that a token is taken to stand for; much shorter vocabularies
/// are rules of lines.
const TOKEN_BYTES_MIN: usize = 16;
/// Most: a text whose tokens are longer on average is one of runs of spaces.
const TOKEN_BYTES_MAX: usize = 24;
/// Texts up to this size are tokenized as they are.
const WHOLE_BYTES_MAX: usize = 64 * 1024;
/// Tokens that a cut may add to a text.
const CUT_TOKENS: usize = 16;

impl Text {
    /// Refuses text that cannot fit `context_length` tokens, before the work of
    /// tokenizing it.
    ///
    /// # Errors
    /// [`FailureKind::TooLong`] with the numbers.
    pub fn check_bytes(&self, bytes: usize, context_length: usize) -> Result<(), Failure> {
        let most = self.bytes_of(context_length);
        if bytes <= most {
            return Ok(());
        }
        Err(failed(
            FailureKind::TooLong,
            format!(
                "the prompt has {bytes} bytes; no more than {most} can fit the context of {context_length} tokens; \
                 shorten it"
            ),
        ))
    }

    /// Most bytes that [`Text::check_bytes`] lets pass.
    pub(crate) fn bytes_of(&self, context_length: usize) -> usize {
        context_length.saturating_mul(self.longest.clamp(TOKEN_BYTES_MIN, TOKEN_BYTES_MAX))
    }

    /// As [`Text::check_bytes`], for a text that may be guarded; a long one is
    /// counted in slices first, since the tokenizer needs a hundred times the
    /// memory of what it reads at once.
    ///
    /// # Errors
    /// [`FailureKind::TooLong`] with the numbers, and as [`Text::encode`].
    pub fn check(&self, text: &str, context_length: usize) -> Result<(), Failure> {
        self.check_bytes(text.len(), context_length)?;
        if text.len() <= WHOLE_BYTES_MAX || text.len() <= context_length {
            return Ok(());
        }
        let (mut rest, mut tokens, mut allowed) = (text, 0usize, context_length);
        while !rest.is_empty() {
            let (slice, further) = rest.split_at(cut(rest));
            tokens += self.encode_guarded(slice)?.len();
            if tokens > allowed {
                let (bytes, read) = (text.len(), text.len() - further.len());
                return Err(failed(
                    FailureKind::TooLong,
                    format!(
                        "the first {read} of the prompt's {bytes} bytes are {tokens} tokens already, and the context \
                         has {context_length}; shorten it"
                    ),
                ));
            }
            (rest, allowed) = (further, allowed.saturating_add(CUT_TOKENS));
        }
        Ok(())
    }
}

/// Where a slice of `text` ends: before the last white space that fits, or else
/// between two characters.
fn cut(text: &str) -> usize {
    if text.len() <= WHOLE_BYTES_MAX {
        return text.len();
    }
    let most = text.floor_char_boundary(WHOLE_BYTES_MAX);
    let head = text.get(..most).unwrap_or(text);
    head.rfind(char::is_whitespace).filter(|&at| at > most / 2).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::super::samples::{byte_level, load};
    use super::*;

    /// A vocabulary with a run of 256 spaces, as several families have it.
    fn text() -> &'static Text {
        static ONCE: OnceLock<Text> = OnceLock::new();
        ONCE.get_or_init(|| {
            let mut file = byte_level();
            let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
            let next = vocabulary.len();
            vocabulary.insert("Ġ".repeat(256), json!(next));
            load(&file)
        })
    }

    fn refusal(prompt: &str, context_length: usize) -> String {
        let started = Instant::now();
        let failure = text().check(prompt, context_length).unwrap_err();
        assert_eq!(failure.kind, FailureKind::TooLong);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        failure.message
    }

    #[test]
    fn long_prompts_are_refused_unread_or_after_a_part() {
        let prompt = "x1 ".repeat(32 << 20 >> 2) + &" ".repeat(8 << 20);
        assert_eq!(prompt.len(), 32 << 20);
        assert!(refusal(&prompt, 131_072).contains("33554432 bytes; no more than 3145728"));
        let said = refusal(&prompt, 1_400_000);
        assert!(said.contains("of the prompt's 33554432 bytes are 14"), "{said}");
        let solid = "日本".repeat(400_000);
        assert!(refusal(&solid, 110_000).contains("tokens already"), "no white space to cut at");
    }

    #[test]
    fn what_fits_is_let_pass() {
        let prompt = "x1 y ".repeat(100_000);
        let count = text().encode(&prompt, false).unwrap().len();
        text().check(&prompt, count).unwrap();
        assert!(refusal(&prompt, count - 1000).contains("shorten"));
        text().check(&"\n".repeat(70_000), 70_000).unwrap();
        assert_eq!(cut("ab"), 2);
    }
}
