//! How likely tokens were, in OpenAI's words.

use serde::Serialize;
use utoipa::ToSchema;
use weighbridge_inference_wire::TokenChance;

/// OpenAI's number for what is so unlikely that its logarithm has no number.
const LOWEST: f32 = -9999.0;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Logprobs {
    pub content: Vec<Logprob>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Logprob {
    pub token: String,
    pub logprob: f32,
    pub bytes: Vec<u8>,
    pub top_logprobs: Vec<TopLogprob>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopLogprob {
    pub token: String,
    pub logprob: f32,
    pub bytes: Vec<u8>,
}

/// A number that JSON can hold.
pub(crate) fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { LOWEST }
}

impl From<Vec<TokenChance>> for Logprobs {
    fn from(chances: Vec<TokenChance>) -> Self {
        let top = |(_, token, bytes, logprob): (u32, String, Vec<u8>, f32)| TopLogprob {
            token,
            logprob: finite(logprob),
            bytes,
        };
        let one = |chance: TokenChance| Logprob {
            token: chance.text,
            logprob: finite(chance.logprob),
            bytes: chance.bytes,
            top_logprobs: chance.likeliest.into_iter().map(top).collect(),
        };
        Self { content: chances.into_iter().map(one).collect() }
    }
}
