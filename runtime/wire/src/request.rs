use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::RequestId;

/// From the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToWorker {
    /// First, once: the model, as sealed memory beside the message.
    Open(Open),
    /// Next, if [`Open::to_come`] says so: the memory of the other parts.
    Rest,
    /// Write text.
    Generate {
        /// Answers carry it.
        id: RequestId,
        /// What to write.
        request: Box<Generate>,
    },
    /// Turn texts into vectors.
    Embed {
        /// Answers carry it.
        id: RequestId,
        /// The texts.
        request: Embed,
    },
    /// Order documents by a query.
    Rerank {
        /// Answers carry it.
        id: RequestId,
        /// Query and documents.
        request: Rerank,
    },
    /// Run a model on tensors as they are.
    Infer {
        /// Answers carry it.
        id: RequestId,
        /// Inputs and wanted outputs.
        request: Infer,
    },
    /// Nobody waits for that answer any more.
    Cancel {
        /// Of the request.
        id: RequestId,
    },
    /// Figures, please.
    Stats,
}

/// The model a worker is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// [`crate::VERSION`] of the sender.
    pub version: u32,
    /// Name in reports.
    pub name: String,
    /// What lies in the descriptors, in their order.
    pub parts: Vec<Part>,
    /// How many of the last parts are still being sealed: their descriptors
    /// come beside [`ToWorker::Rest`].
    pub to_come: usize,
    /// Threads to compute with.
    pub threads: usize,
    /// Most bytes for keys and values.
    pub cache_bytes: u64,
    /// Longest sequence served, tokens; the model's own limit when absent.
    pub context_length: Option<usize>,
}

/// One sealed file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub role: PartRole,
    /// Name by which other parts speak of it (external data of ONNX).
    pub name: String,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartRole {
    /// ONNX graph.
    Graph,
    /// Tensors that the graph names by file and offset.
    Data,
    /// `weighbridge.json` of an imported model.
    Manifest,
    /// `config.json` of a stock export.
    Config,
    /// `tokenizer.json`.
    Tokenizer,
    /// `tokenizer_config.json`.
    TokenizerConfig,
    /// Chat template (Jinja).
    Template,
    /// `genai_config.json`, `generation_config.json`.
    Generation,
    /// `modules.json`, pooling and other settings of sentence-transformers.
    Pooling,
}

/// Text to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// What comes before.
    pub prompt: Prompt,
    /// Most tokens to write; the rest of the context when absent.
    pub max_tokens: Option<u32>,
    /// How many answers to write side by side, at least 1.
    pub choices: u32,
    /// Texts that end an answer; they are not part of it.
    pub stop: Vec<String>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// What the text must look like.
    pub constraint: Constraint,
    /// How many likely tokens to name at each place; absent for none, 0 for
    /// the drawn one alone.
    pub logprobs: Option<u32>,
    /// Goes on after an end-of-sequence token (benchmarks).
    pub ignore_end: bool,
    /// Whose request it is, as a number that tells nothing: beginnings of
    /// texts are found again within one scope alone.
    #[serde(default)]
    pub scope: u64,
}

/// What comes before the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// As it is, with the model's own leading token.
    Text(String),
    /// Token by token.
    Tokens(Vec<u32>),
    /// Put together by the model's chat template.
    Chat(Chat),
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// What was said, oldest first.
    pub messages: Vec<Message>,
    /// Functions the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: ToolChoice,
    /// Further variables of the template (`enable_thinking`).
    pub template_variables: serde_json::Map<String, Value>,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or what the model knows.
    pub role: String,
    /// The text.
    pub content: String,
    /// Speaker, where several share a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the assistant called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// A call made earlier in the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// As the client numbered it.
    pub id: String,
    /// Which function.
    pub name: String,
    /// JSON object.
    pub arguments: Value,
}

/// A function the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// JSON schema of its arguments.
    pub parameters: Option<Value>,
}

/// Whether tools are to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// Never.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// What the text must look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Anything.
    Free,
    /// Any JSON object.
    Json,
    /// JSON by this schema.
    Schema(Value),
    /// This regular expression.
    Regex(String),
    /// This Lark grammar.
    Grammar(String),
}

/// How tokens are drawn. Absent values are the model's own, then neutral.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// 0 draws the likeliest.
    pub temperature: Option<f32>,
    /// Smallest set of tokens with that much probability, 0 to 1.
    pub top_p: Option<f32>,
    /// That many likeliest tokens.
    pub top_k: Option<u32>,
    /// Tokens at least that likely, relative to the likeliest.
    pub min_p: Option<f32>,
    /// Divides logits of tokens seen; 1 is neutral.
    pub repetition_penalty: Option<f32>,
    /// Subtracted from logits per time a token was written.
    pub frequency_penalty: Option<f32>,
    /// Subtracted from logits of tokens written.
    pub presence_penalty: Option<f32>,
    /// The same seed draws the same tokens.
    pub seed: Option<u64>,
    /// Added to logits, by token.
    pub logit_bias: Vec<(u32, f32)>,
}

/// Texts to be turned into vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embed {
    /// The texts.
    pub texts: Vec<String>,
    /// Instead of texts: each already cut into tokens of the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Vec<u32>>,
    /// Keep that many leading numbers of each (Matryoshka).
    pub dimensions: Option<u32>,
    /// Cut texts that are too long rather than refuse them.
    pub truncate: bool,
}

/// Documents to be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerank {
    /// What is looked for.
    pub query: String,
    /// Where.
    pub documents: Vec<String>,
}

/// Tensors to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Infer {
    /// By name.
    pub inputs: Vec<Tensor>,
    /// Names of wanted outputs; all when empty.
    pub outputs: Vec<String>,
}

/// Numbers with a shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// In the graph.
    pub name: String,
    /// Of the elements.
    pub element: TensorType,
    /// Lengths, outermost first.
    pub shape: Vec<u64>,
    /// Base64 of the elements, little-endian, row-major; for
    /// [`TensorType::Bytes`] each element has its length before it (`u32`).
    pub data: String,
}

/// Types of elements (Open Inference Protocol v2, "Tensor Data Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names of the protocol say it")]
pub enum TensorType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}
