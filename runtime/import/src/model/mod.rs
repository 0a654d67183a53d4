//! What a model computes, whatever file described it.

pub(crate) mod names;
pub(crate) mod rope;

use crate::ImportError;
use crate::weights::ROW_MAX;
use rope::Rope;

/// What can be imported.
pub(crate) const FAMILIES: &[(&str, Family)] = &[
    ("llama", Family::Llama),
    ("mistral", Family::Mistral),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
    ("gemma", Family::Gemma),
    ("gemma2", Family::Gemma2),
    ("gemma3", Family::Gemma3),
    ("gemma3_text", Family::Gemma3),
    ("phi3", Family::Phi3),
];

/// Most layers: eight times the deepest model.
const LAYERS_MAX: u64 = 1024;
/// Most heads.
const HEADS_MAX: u64 = 1024;
/// Largest head, dimensions: what the store of keys and values takes.
const HEAD_SIZE_MAX: u64 = 512;
/// What a head's dimensions must be a multiple of, for the same reason.
const HEAD_SIZE_STEP: u64 = 16;
/// Largest vocabulary: eight times the largest in use.
pub(crate) const VOCABULARY_MAX: u64 = 1 << 21;
/// Longest context, tokens.
const CONTEXT_MAX: u64 = 1 << 28;

/// A family of models with one way to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Gemma,
    Gemma2,
    Gemma3,
    Phi3,
}

impl Family {
    /// The family that `config.json` or `general.architecture` calls `name`.
    /// `others` can be imported as well, by others.
    pub(crate) fn of(name: &str, others: &[&str]) -> Result<Self, ImportError> {
        FAMILIES.iter().find(|(n, _)| *n == name).map(|(_, family)| *family).ok_or_else(|| ImportError::Architecture {
            architecture: crate::error::Name::new(name),
            supported: FAMILIES.iter().map(|(n, _)| n).chain(others).copied().collect::<Vec<_>>().join(", "),
        })
    }

    pub(crate) const fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma2 | Self::Gemma3)
    }

    /// Whether queries and keys are normalised per head.
    pub(crate) const fn head_norms(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }

    /// Whether attention and feed-forward are normalised once more before
    /// they are added.
    pub(crate) const fn post_norms(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }
}

/// The feed-forward's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    GeluTanh,
}

impl Activation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_tanh",
        }
    }
}

/// Sizes, held against limits and each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
    pub(crate) feed_forward: usize,
    pub(crate) vocabulary: usize,
    pub(crate) context: usize,
}

/// Sizes as a file states them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stated {
    pub(crate) layers: u64,
    pub(crate) hidden: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head_size: Option<u64>,
    pub(crate) feed_forward: u64,
    pub(crate) vocabulary: u64,
    pub(crate) context: u64,
}

impl Stated {
    /// Holds them against limits and each other.
    pub(crate) fn check(&self) -> Result<Sizes, ImportError> {
        let derived = self.hidden.checked_div(self.heads).filter(|size| size * self.heads == self.hidden);
        let head_size = self.head_size.or(derived).ok_or_else(|| {
            let reason = format!("{} is not a multiple of its {} heads", self.hidden, self.heads);
            ImportError::configuration("hidden size", format!("of {reason}"))
        })?;
        let sizes = Sizes {
            layers: within("number of layers", self.layers, LAYERS_MAX, 1)?,
            hidden: within("hidden size", self.hidden, ROW_MAX, 32)?,
            heads: within("number of heads", self.heads, HEADS_MAX, 1)?,
            kv_heads: within("number of key and value heads", self.kv_heads, HEADS_MAX, 1)?,
            head_size: within("head size", head_size, HEAD_SIZE_MAX, HEAD_SIZE_STEP)?,
            feed_forward: within("feed-forward size", self.feed_forward, ROW_MAX, 32)?,
            vocabulary: within("vocabulary size", self.vocabulary, VOCABULARY_MAX, 1)?,
            context: within("context length", self.context, CONTEXT_MAX, 1)?,
        };
        if !sizes.heads.is_multiple_of(sizes.kv_heads) {
            let reason = format!("({}) do not divide by key and value heads ({})", sizes.heads, sizes.kv_heads);
            return Err(ImportError::configuration("heads", reason));
        }
        let attention = sizes.heads * sizes.head_size;
        if !attention.is_multiple_of(32) || attention as u64 > ROW_MAX {
            return Err(ImportError::unsupported(
                format!("{} heads of {} dimensions", sizes.heads, sizes.head_size),
                "their product must be a multiple of 32 of at most 262144",
            ));
        }
        Ok(sizes)
    }
}

fn within(field: &str, value: u64, max: u64, multiple: u64) -> Result<usize, ImportError> {
    let fits = (1..=max).contains(&value) && value.is_multiple_of(multiple);
    usize::try_from(value).ok().filter(|_| fits).ok_or_else(|| {
        let of = if multiple > 1 { format!(", a multiple of {multiple}") } else { String::new() };
        ImportError::configuration(field, format!("is {value}; expected 1 to {max}{of}"))
    })
}

/// One layer's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Keys a query sees, itself included; 0 for all.
    pub(crate) window: usize,
    /// Which of the model's rotations.
    pub(crate) rope: usize,
}

/// What a model computes.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) family: Family,
    /// As the source names it.
    pub(crate) architecture: String,
    pub(crate) name: Option<String>,
    pub(crate) licence: Option<String>,
    pub(crate) sizes: Sizes,
    pub(crate) epsilon: f32,
    pub(crate) activation: Activation,
    /// Rotation of pairs (GGUF's `llama`) instead of halves.
    pub(crate) interleaved: bool,
    pub(crate) embedding_scale: f32,
    pub(crate) attention_scale: f32,
    pub(crate) attention_softcap: f32,
    pub(crate) logit_softcap: f32,
    /// What is added to norm weights: Gemma stores them less one.
    pub(crate) norm_offset: f32,
    /// Whether a separate head is to be ignored.
    pub(crate) tied: bool,
    pub(crate) layers: Vec<Layer>,
    pub(crate) ropes: Vec<Rope>,
}

/// A finite float in a range, from a configuration.
#[expect(clippy::cast_possible_truncation, reason = "held to the range of f32 first")]
pub(crate) fn float(field: &str, value: f64, least: f64, most: f64) -> Result<f32, ImportError> {
    if value.is_finite() && (least..=most).contains(&value) {
        return Ok(value as f32);
    }
    Err(ImportError::configuration(field, format!("is {value}; expected {least} to {most}")))
}
