//! Finds what an answer cost while it passes by.

use serde::Deserialize;
use weighbridge_inference_wire::Usage;

/// Most bytes kept of one line or of a whole answer that is not streamed.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Looks at an answer as it passes; keeps one line of a stream, or all of an
/// answer that is none.
#[derive(Debug)]
pub(super) struct Meter {
    streams: bool,
    kept: Vec<u8>,
    skipping: bool,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Said {
    usage: Option<Counts>,
    response: Option<Inner>,
}

/// `/v1/responses` says it one level deeper.
#[derive(Deserialize)]
struct Inner {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(alias = "input_tokens", default)]
    prompt_tokens: u32,
    #[serde(alias = "output_tokens", default)]
    completion_tokens: u32,
    #[serde(alias = "input_tokens_details", default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

impl Meter {
    pub fn new(streams: bool) -> Self {
        Self { streams, kept: Vec::new(), skipping: false, usage: None }
    }

    pub fn see(&mut self, data: &[u8]) {
        if !self.streams {
            return self.keep(data);
        }
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.keep(piece);
            if piece.ends_with(b"\n") {
                self.line();
            }
        }
    }

    fn keep(&mut self, data: &[u8]) {
        if self.kept.len().saturating_add(data.len()) > KEPT_BYTES_MAX {
            self.kept = Vec::new();
            self.skipping = true;
        }
        if !self.skipping {
            self.kept.extend_from_slice(data);
        }
    }

    fn line(&mut self) {
        let line = std::mem::take(&mut self.kept);
        if let Some(json) = line.strip_prefix(b"data:").filter(|_| !self.skipping) {
            self.read(json);
        }
        self.skipping = false;
    }

    fn read(&mut self, json: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Said>(json) else { return };
        if let Some(counts) = said.usage.or(said.response.and_then(|r| r.usage)) {
            self.usage = Some(Usage {
                prompt_tokens: counts.prompt_tokens,
                completion_tokens: counts.completion_tokens,
                cached_tokens: counts.prompt_tokens_details.and_then(|d| d.cached_tokens).unwrap_or(0),
                ..Usage::default()
            });
        }
    }

    /// What was said of it.
    pub fn usage(&mut self) -> Option<Usage> {
        let rest = std::mem::take(&mut self.kept);
        if !self.streams {
            self.read(&rest);
        }
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_found_however_a_stream_is_cut() {
        let text = b"data: {\"choices\":[],\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\ndata: [DONE]\n\n";
        for cut in 0..text.len() {
            let mut meter = Meter::new(true);
            let (one, two) = text.split_at(cut);
            meter.see(one);
            meter.see(two);
            let usage = meter.usage().unwrap();
            assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens), (3, 4, 2), "{cut}");
        }
    }

    #[test]
    fn answers_without_end_are_not_kept() {
        for streams in [true, false] {
            let mut meter = Meter::new(streams);
            (0..10).for_each(|_| meter.see(&vec![b'x'; 1 << 20]));
            assert!(meter.kept.capacity() <= 2 * KEPT_BYTES_MAX);
            assert_eq!(meter.usage(), None);
        }
    }

    #[test]
    fn responses_say_it_deeper() {
        let mut meter = Meter::new(false);
        meter.see(b"{\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}");
        let usage = meter.usage().unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (5, 6));
    }
}
