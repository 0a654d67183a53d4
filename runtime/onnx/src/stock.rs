//! Language models as others export them: keys and values go into the graph
//! and come out of it, one tensor each per layer (the layout of Optimum,
//! onnx-community and onnxruntime-genai's model builder).
//!
//! Such a graph reads one sequence at a time here: rows of several would have
//! to be as long as the longest, and what padding means differs between
//! exporters. Our own import has no such limit.

use std::collections::HashMap;

use half::f16;
use ort::session::SessionInputValue;
use ort::value::{DynValue, Shape as Dimensions, Tensor, TensorElementType};
use weighbridge_engine::{Batch, LanguageModel, Segment, Shape, StepError};
use weighbridge_kernels::PAGE_TOKENS;

use crate::graph::{Element, Graph, Port};
use crate::{OnnxError, Setting};

/// Most layers.
const LAYERS_MAX: usize = 1024;
/// Most numbers in the keys of one token and layer.
const WIDTH_MAX: usize = 1 << 20;
const VOCABULARY_MAX: usize = 1 << 20;

/// What files beside the graph say where the graph does not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stated {
    /// Heads of keys and values.
    pub kv_heads: Option<usize>,
    /// Numbers per head.
    pub head_size: Option<usize>,
    /// Tokens that logits are about.
    pub vocabulary: Option<usize>,
    /// Longest sequence, tokens.
    pub context_length: Option<usize>,
}

/// A tensor of keys or of values that a sequence carries along.
#[derive(Debug)]
struct Carried {
    past: String,
    present: String,
    heads: usize,
    size: usize,
    element: Element,
}

/// What a sequence has come to.
#[derive(Default)]
struct Held {
    tokens: usize,
    /// As [`Stock::carried`]; nothing before the first step.
    values: Vec<DynValue>,
}

/// A language model of another exporter's, ready.
pub struct Stock {
    graph: Graph,
    inputs: Vec<String>,
    carried: Vec<Carried>,
    held: HashMap<u64, Held>,
    shape: Shape,
    /// Of the last step.
    logits: Vec<f32>,
}

impl Stock {
    /// Whether a graph with these inputs and outputs is one.
    #[must_use]
    pub fn is_one(inputs: &[Port], outputs: &[Port]) -> bool {
        inputs.iter().any(|p| p.name == "input_ids")
            && inputs.iter().any(|p| present(&p.name).is_some())
            && inputs.iter().all(|p| known(&p.name) || present(&p.name).is_some())
            && inputs.iter().filter_map(|p| present(&p.name)).all(|name| outputs.iter().any(|o| o.name == name))
            && outputs.iter().any(|p| p.name == "logits" && p.shape.len() == 3)
    }

    /// Takes an open graph for what [`Stock::is_one`] says it is.
    ///
    /// # Errors
    /// [`OnnxError::Graph`]: sizes that nobody states, or that are absurd.
    pub fn new(graph: Graph, stated: Stated, setting: Setting) -> Result<Self, OnnxError> {
        let wrong = |what: &str| OnnxError::Graph(what.to_owned());
        let inputs = graph.inputs();
        let carried: Vec<Carried> =
            inputs.iter().filter_map(|p| carried(p, stated).transpose()).collect::<Result<_, _>>()?;
        if carried.is_empty() || carried.len() > 2 * LAYERS_MAX {
            return Err(OnnxError::Graph(format!(
                "it carries {} tensors of keys and values; expected 1 to {}",
                carried.len(),
                2 * LAYERS_MAX
            )));
        }
        let outputs = graph.outputs();
        let last = outputs.iter().find(|p| p.name == "logits").and_then(|p| p.shape.get(2)).copied();
        let vocabulary = last.and_then(|n| usize::try_from(n).ok()).or(stated.vocabulary);
        let vocabulary = vocabulary.filter(|n| (1..=VOCABULARY_MAX).contains(n));
        let vocabulary = vocabulary.ok_or_else(|| wrong("nothing says how many tokens its logits are about"))?;
        let context = stated.context_length.filter(|n| *n > 0).or(setting.context_length);
        let context = context
            .ok_or_else(|| wrong("no file beside it says how long its sequences may be; say it with `--context`"))?;
        let token_bytes: usize = carried.iter().map(|c| c.heads * c.size * c.element.bytes()).sum();
        // While a sequence is read, what went in and what comes out are there.
        let page_bytes = token_bytes.saturating_mul(PAGE_TOKENS).saturating_mul(2).max(1);
        let most = usize::try_from(setting.cache_bytes).unwrap_or(usize::MAX) / page_bytes;
        let pages = most.min(u32::MAX as usize);
        if pages == 0 {
            return Err(OnnxError::Graph(format!(
                "{PAGE_TOKENS} tokens take {page_bytes} bytes of keys and values, more than all that may be used"
            )));
        }
        let context = context.min(setting.context_length.unwrap_or(usize::MAX));
        let shape = Shape {
            vocabulary,
            context_length: context.min(pages.saturating_mul(PAGE_TOKENS)),
            page_tokens: PAGE_TOKENS,
            pages,
            shares_pages: false,
        };
        let inputs = inputs.into_iter().map(|p| p.name).filter(|n| known(n)).collect();
        Ok(Self { graph, inputs, carried, held: HashMap::new(), shape, logits: Vec::new() })
    }

    /// One sequence's new tokens; `rows` are the places among them whose logits
    /// are wanted.
    fn read(&mut self, tokens: &[u32], segment: &Segment<'_>, rows: &[usize]) -> Result<(), StepError> {
        // Whatever fails, the sequence is over.
        let mut held = self.held.remove(&segment.sequence).filter(|_| segment.past > 0).unwrap_or_default();
        if held.tokens != segment.past {
            let what = format!("a sequence of {} tokens was continued after {}", held.tokens, segment.past);
            return Err(StepError::Graph(what));
        }
        if held.values.is_empty() {
            let empty = self.carried.iter().map(nothing).collect::<ort::Result<_>>();
            held.values = empty.map_err(failed)?;
        }
        let last_only = tokens.len().checked_sub(1).is_some_and(|last| rows.iter().all(|r| *r == last));
        let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(self.inputs.len() + held.values.len());
        for name in &self.inputs {
            values.push((name, input(name, tokens, segment.past, last_only).map_err(failed)?.into()));
        }
        values.extend(self.carried.iter().zip(held.values).map(|(c, value)| (c.past.as_str(), value.into())));
        let mut outputs = self.graph.session.run(values).map_err(failed)?;
        let mut take =
            |name: &str| outputs.remove(name).ok_or_else(|| StepError::Graph(format!("it has no output `{name}`")));
        let logits = take("logits")?;
        held.values = self.carried.iter().map(|c| take(&c.present)).collect::<Result<_, _>>()?;
        held.tokens = segment.past + tokens.len();
        for (c, value) in self.carried.iter().zip(&held.values) {
            let wanted = [1, c.heads, held.tokens, c.size];
            let have = value.dtype().tensor_shape();
            let fits = have.is_some_and(|have| have.iter().copied().eq(wanted.map(|n| i64::try_from(n).unwrap_or(-1))));
            if !fits {
                return Err(StepError::Graph(format!("its output `{}` is not of shape {wanted:?}", c.present)));
            }
        }
        take_rows(&logits, tokens.len(), self.shape.vocabulary, rows, &mut self.logits)?;
        self.held.insert(segment.sequence, held);
        Ok(())
    }
}

impl LanguageModel for Stock {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError> {
        self.logits.clear();
        let mut wanted = batch.logit_rows;
        for segment in batch.segments {
            let end = segment.first.saturating_add(segment.count);
            let tokens = batch.tokens.get(segment.first..end).filter(|t| !t.is_empty());
            let tokens =
                tokens.ok_or_else(|| StepError::Graph("the batch names tokens it does not have".to_owned()))?;
            let (mine, rest) = wanted.split_at(wanted.partition_point(|row| *row < end));
            wanted = rest;
            let rows: Vec<usize> = mine.iter().filter_map(|row| row.checked_sub(segment.first)).collect();
            self.read(tokens, segment, &rows)?;
        }
        Ok(&self.logits)
    }

    fn released(&mut self, sequence: u64) {
        self.held.remove(&sequence);
    }
}

/// The output that becomes the input `past` of the next step.
fn present(past: &str) -> Option<String> {
    past.strip_prefix("past_key_values.").map(|rest| format!("present.{rest}"))
}

/// Inputs that can be made of tokens.
fn known(name: &str) -> bool {
    matches!(name, "input_ids" | "attention_mask" | "position_ids" | "num_logits_to_keep")
}

fn carried(port: &Port, stated: Stated) -> Result<Option<Carried>, OnnxError> {
    let Some(present) = present(&port.name) else { return Ok(None) };
    let wrong = |what: &str| OnnxError::Graph(format!("its input `{}` {what}", port.name));
    let element = port.element.filter(|e| matches!(e, Element::F32 | Element::F16));
    let element = element.ok_or_else(|| wrong("holds neither f32 nor f16"))?;
    let &[_, heads, _, size] = port.shape.as_slice() else { return Err(wrong("has not four dimensions")) };
    let length = |of: i64, stated: Option<usize>, what: &str| {
        let length = usize::try_from(of).ok().or(stated).filter(|n| (1..=WIDTH_MAX).contains(n));
        length.ok_or_else(|| wrong(what))
    };
    let heads = length(heads, stated.kv_heads, "does not say its heads, nor does a file beside it")?;
    let size = length(size, stated.head_size, "does not say how large a head is, nor does a file beside it")?;
    if heads * size > WIDTH_MAX {
        return Err(wrong("is absurdly large"));
    }
    Ok(Some(Carried { past: port.name.clone(), present, heads, size, element }))
}

/// Keys or values of no token.
fn nothing(of: &Carried) -> ort::Result<DynValue> {
    let length = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let shape = Dimensions::new([1, length(of.heads), 0, length(of.size)]);
    if of.element == Element::F16 {
        Tensor::from_array((shape, Vec::<f16>::new())).map(Tensor::into_dyn)
    } else {
        Tensor::from_array((shape, Vec::<f32>::new())).map(Tensor::into_dyn)
    }
}

/// The input `name` for `tokens` after `past` others.
fn input(name: &str, tokens: &[u32], past: usize, last_only: bool) -> ort::Result<DynValue> {
    let row = |numbers: Vec<i64>| {
        let length = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
        Tensor::from_array((Dimensions::new([1, length]), numbers)).map(Tensor::into_dyn)
    };
    match name {
        "input_ids" => row(tokens.iter().map(|t| i64::from(*t)).collect()),
        "attention_mask" => row(vec![1; past + tokens.len()]),
        "position_ids" => row((0_i64..).skip(past).take(tokens.len()).collect()),
        // Zero stands for all.
        _ => Tensor::from_array((Dimensions::new([]), vec![i64::from(last_only)])).map(Tensor::into_dyn),
    }
}

/// Appends the wanted rows of `[1, count, vocabulary]`, or of the last row alone.
fn take_rows(
    logits: &DynValue,
    count: usize,
    vocabulary: usize,
    rows: &[usize],
    to: &mut Vec<f32>,
) -> Result<(), StepError> {
    let wrong = || StepError::Graph(format!("its logits are not {count} rows of {vocabulary}"));
    let numbers = match logits.dtype().tensor_type() {
        Some(TensorElementType::Float16) => {
            let (_, halves) = logits.try_extract_tensor::<f16>().map_err(failed)?;
            std::borrow::Cow::Owned(halves.iter().map(|h| h.to_f32()).collect())
        }
        _ => std::borrow::Cow::Borrowed(logits.try_extract_tensor::<f32>().map_err(failed)?.1),
    };
    let given = numbers.len() / vocabulary;
    if !numbers.len().is_multiple_of(vocabulary) || given != count && given != 1 {
        return Err(wrong());
    }
    for row in rows {
        // Where the last row alone came, it is the first.
        let row = row.checked_sub(count - given).ok_or_else(wrong)?;
        let start = row * vocabulary;
        to.extend_from_slice(numbers.get(start..start + vocabulary).ok_or_else(wrong)?);
    }
    Ok(())
}

fn failed(error: ort::Error) -> StepError {
    StepError::Graph(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, element: Element, shape: &[i64]) -> Port {
        Port { name: name.to_owned(), element: Some(element), shape: shape.to_vec() }
    }

    #[test]
    fn graphs_with_other_inputs_are_not_taken() {
        let past = port("past_key_values.0.key", Element::F32, &[-1, 2, -1, 32]);
        let inputs = vec![port("input_ids", Element::I64, &[-1, -1]), past];
        let outputs =
            vec![port("logits", Element::F32, &[-1, -1, 9]), port("present.0.key", Element::F32, &[-1, 2, -1, 32])];
        assert!(Stock::is_one(&inputs, &outputs));
        assert!(!Stock::is_one(&inputs[..1], &outputs), "nothing is carried");
        assert!(!Stock::is_one(&inputs, &outputs[..1]), "it does not come out again");
        assert!(!Stock::is_one(&inputs, &outputs[1..]), "no logits");
        let with = |name: &str| [inputs.clone(), vec![port(name, Element::I64, &[-1, -1])]].concat();
        assert!(Stock::is_one(&with("position_ids"), &outputs));
        assert!(!Stock::is_one(&with("pixel_values"), &outputs) && !Stock::is_one(&with("use_cache_branch"), &outputs));
    }

    #[test]
    fn what_is_carried_has_sizes() {
        let stated = Stated { kv_heads: Some(3), head_size: Some(8), ..Stated::default() };
        let sizes = |element, shape: &[i64], stated| {
            let found = carried(&port("past_key_values.0.key", element, shape), stated);
            found.map(|c| c.map(|c| (c.heads, c.size))).map_err(|e| e.to_string())
        };
        assert_eq!(sizes(Element::F16, &[-1, 2, -1, 32], stated), Ok(Some((2, 32))));
        assert_eq!(sizes(Element::F32, &[-1, -1, -1, -1], stated), Ok(Some((3, 8))));
        for shape in [&[-1, 2, -1][..], &[-1, 0, -1, 32], &[-1, 1 << 19, -1, 1 << 19], &[-1, i64::MAX, -1, 2]] {
            assert!(sizes(Element::F32, shape, stated).is_err(), "{shape:?}");
        }
        assert!(sizes(Element::F32, &[-1, -1, -1, -1], Stated::default()).is_err());
        assert!(sizes(Element::U8, &[-1, 2, -1, 32], stated).is_err());
    }
}
