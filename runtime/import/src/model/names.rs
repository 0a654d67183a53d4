//! What files call the tensors of a model.

use crate::model::Family;

/// A tensor's place in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    AttentionNorm,
    Query,
    Key,
    Value,
    /// The three above in one.
    Fused,
    QueryNorm,
    KeyNorm,
    Output,
    PostAttentionNorm,
    FeedForwardNorm,
    Gate,
    Up,
    /// The two above in one.
    GateUp,
    Down,
    PostFeedForwardNorm,
}

/// A file format's names.
#[derive(Debug, Clone)]
pub(crate) enum Names {
    Gguf {
        fused_feed_forward: bool,
    },
    /// With what stands before `model.`, for language models inside others.
    HuggingFace {
        prefix: String,
        post_norms: bool,
    },
}

impl Names {
    pub(crate) fn gguf(family: Family) -> Self {
        Self::Gguf { fused_feed_forward: family == Family::Phi3 }
    }

    pub(crate) fn embedding(&self) -> String {
        match self {
            Self::Gguf { .. } => "token_embd.weight".to_owned(),
            Self::HuggingFace { prefix, .. } => format!("{prefix}embed_tokens.weight"),
        }
    }

    pub(crate) fn head(&self) -> &'static str {
        match self {
            Self::Gguf { .. } => "output.weight",
            Self::HuggingFace { .. } => "lm_head.weight",
        }
    }

    pub(crate) fn final_norm(&self) -> String {
        match self {
            Self::Gguf { .. } => "output_norm.weight".to_owned(),
            Self::HuggingFace { prefix, .. } => format!("{prefix}norm.weight"),
        }
    }

    /// The name without `.weight` or `.bias`.
    pub(crate) fn layer(&self, layer: usize, role: Role) -> String {
        match self {
            Self::Gguf { fused_feed_forward } => {
                let name = match role {
                    Role::AttentionNorm => "attn_norm",
                    Role::Query => "attn_q",
                    Role::Key => "attn_k",
                    Role::Value => "attn_v",
                    Role::Fused => "attn_qkv",
                    Role::QueryNorm => "attn_q_norm",
                    Role::KeyNorm => "attn_k_norm",
                    Role::Output => "attn_output",
                    Role::PostAttentionNorm => "post_attention_norm",
                    Role::FeedForwardNorm => "ffn_norm",
                    Role::Gate => "ffn_gate",
                    Role::GateUp if *fused_feed_forward => "ffn_up",
                    Role::GateUp => "ffn_gate_up",
                    Role::Up => "ffn_up",
                    Role::Down => "ffn_down",
                    Role::PostFeedForwardNorm => "post_ffw_norm",
                };
                format!("blk.{layer}.{name}")
            }
            Self::HuggingFace { prefix, post_norms } => {
                let name = match role {
                    Role::AttentionNorm => "input_layernorm",
                    Role::Query => "self_attn.q_proj",
                    Role::Key => "self_attn.k_proj",
                    Role::Value => "self_attn.v_proj",
                    Role::Fused => "self_attn.qkv_proj",
                    Role::QueryNorm => "self_attn.q_norm",
                    Role::KeyNorm => "self_attn.k_norm",
                    Role::Output => "self_attn.o_proj",
                    Role::PostAttentionNorm => "post_attention_layernorm",
                    Role::FeedForwardNorm if *post_norms => "pre_feedforward_layernorm",
                    Role::FeedForwardNorm => "post_attention_layernorm",
                    Role::Gate => "mlp.gate_proj",
                    Role::Up => "mlp.up_proj",
                    Role::GateUp => "mlp.gate_up_proj",
                    Role::Down => "mlp.down_proj",
                    Role::PostFeedForwardNorm => "post_feedforward_layernorm",
                };
                format!("{prefix}layers.{layer}.{name}")
            }
        }
    }
}
