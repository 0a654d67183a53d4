//! What files call the tensors of an encoder.

use super::Encoder;
use crate::ImportError;
use crate::manifest::Task;
use crate::weights::Tensors;

/// Most numbers in a row of logits: a reranker's, for "no" and "yes".
const LABELS_MAX: u64 = 2;

/// Families that name and compute alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bert,
    /// And XLM-RoBERTa, CamemBERT.
    Roberta,
    DistilBert,
}

/// A tensor's place in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Key,
    Value,
    Output,
    AttentionNorm,
    Up,
    Down,
    FeedForwardNorm,
}

/// A family's names, with what stands before them in this file.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    kind: Kind,
    prefix: &'static str,
}

impl Names {
    /// Which of the names in use these tensors have.
    pub(super) fn find(kind: Kind, tensors: &Tensors) -> Result<Self, ImportError> {
        let own = match kind {
            Kind::Bert => "bert.",
            Kind::Roberta => "roberta.",
            Kind::DistilBert => "distilbert.",
        };
        let table = |prefix: &&str| tensors.has(&format!("{prefix}embeddings.word_embeddings.weight"));
        let prefix = ["", own].into_iter().find(table);
        let missing =
            || ImportError::tensor("embeddings.word_embeddings.weight", "is missing; the model is incomplete");
        Ok(Self { kind, prefix: prefix.ok_or_else(missing)? })
    }

    /// A table, or the norm of their sum.
    pub(crate) fn embedding(&self, what: &str) -> String {
        format!("{}embeddings.{what}", self.prefix)
    }

    /// The name without `.weight` or `.bias`.
    pub(crate) fn layer(&self, layer: usize, role: Role) -> String {
        let distil = self.kind == Kind::DistilBert;
        let name = match role {
            Role::Query if distil => "attention.q_lin",
            Role::Key if distil => "attention.k_lin",
            Role::Value if distil => "attention.v_lin",
            Role::Output if distil => "attention.out_lin",
            Role::AttentionNorm if distil => "sa_layer_norm",
            Role::Up if distil => "ffn.lin1",
            Role::Down if distil => "ffn.lin2",
            Role::FeedForwardNorm if distil => "output_layer_norm",
            Role::Query => "attention.self.query",
            Role::Key => "attention.self.key",
            Role::Value => "attention.self.value",
            Role::Output => "attention.output.dense",
            Role::AttentionNorm => "attention.output.LayerNorm",
            Role::Up => "intermediate.dense",
            Role::Down => "output.dense",
            Role::FeedForwardNorm => "output.LayerNorm",
        };
        let stack = if distil { "transformer" } else { "encoder" };
        format!("{}{stack}.layer.{layer}.{name}", self.prefix)
    }

    /// The two matrices between a first token and its scores, and what bends
    /// the first one's outputs: none for the hyperbolic tangent.
    pub(crate) fn head(&self) -> (String, Option<&'static str>, &'static str) {
        match self.kind {
            Kind::Bert => (format!("{}pooler.dense", self.prefix), None, "classifier"),
            Kind::Roberta => ("classifier.dense".to_owned(), None, "classifier.out_proj"),
            Kind::DistilBert => ("pre_classifier".to_owned(), Some("relu"), "classifier"),
        }
    }

    /// How many numbers the model gives for a pair; 0 if it makes vectors.
    pub(super) fn labels(&self, encoder: &Encoder, tensors: &Tensors) -> Result<usize, ImportError> {
        if encoder.task == Task::Embed {
            return Ok(0);
        }
        let name = format!("{}.weight", self.head().2);
        let rows = tensors.rows(&name);
        let rows = rows.ok_or_else(|| ImportError::tensor(&name, "is missing; the model is incomplete"))?;
        usize::try_from(rows).ok().filter(|_| (1..=LABELS_MAX).contains(&rows)).ok_or_else(|| {
            let what = format!("a classifier of {rows} classes");
            ImportError::unsupported(what, "rerankers, with one number for a pair or two, are supported")
        })
    }

    /// Knows what models carry beside what is computed here.
    pub(super) fn ignore_unused(&self, task: Task, tensors: &Tensors) {
        let pooler = format!("{}pooler.", self.prefix);
        let pools = task == Task::Rerank && self.kind == Kind::Bert;
        tensors.ignore_all(|name| {
            // What guesses words, or what sentences follow.
            let guesses = ["cls.", "lm_head.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."];
            guesses.iter().any(|start| name.starts_with(start)) || !pools && name.starts_with(&pooler)
        });
    }
}
