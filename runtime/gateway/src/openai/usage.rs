//! What an answer took, in OpenAI's words.

use serde::Serialize;
use utoipa::ToSchema;
use weighbridge_inference_wire as wire;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub total_tokens: u32,
    pub prompt_tokens_details: PromptDetails,
    pub completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromptDetails {
    /// Found in the prefix cache.
    pub cached_tokens: u32,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletionDetails {
    /// Thoughts.
    pub reasoning_tokens: u32,
}

impl From<&wire::Usage> for Usage {
    fn from(usage: &wire::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_tokens },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.thought_tokens },
        }
    }
}
