use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weighbridge_engine::embedding::{Hidden, Settings, TokenBatch};
use weighbridge_engine::{Embedder, StepError, TensorModel, Text, TextFiles};
use weighbridge_inference_wire::{Embed, Event, Facts, Failure, FailureKind, Infer, Open, PartRole, Rerank, Usage};
use weighbridge_onnx::{Graph, Port, RunError};

use super::export;
use super::tensors::{given, taken, type_name};
use crate::error::{failed, of_model, short};
use crate::inbox::Tensors;
use crate::parts::Parts;

/// Most tokens in one batch of texts, padding included.
const BATCH_TOKENS: usize = 4096;
/// Most inputs or outputs told.
const PORTS_MAX: usize = 256;
/// Most bytes of answers to one request: a message carries no more.
const ANSWER_BYTES_MAX: usize = 44 << 20;

/// A graph that reads whole inputs: embeds, ranks, or anything else.
pub struct Tools {
    graph: Shared,
    embedder: Option<Embedder<Shared>>,
    facts: Facts,
}

/// One graph, for texts and for tensors.
#[derive(Clone)]
struct Shared(Rc<RefCell<Graph>>);

impl TensorModel for Shared {
    fn run(&mut self, batch: &TokenBatch) -> Result<Hidden, StepError> {
        TensorModel::run(&mut *self.0.borrow_mut(), batch)
    }
}

impl Tools {
    /// Takes the graph, and the tokenizer if there is one.
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn new(graph: Graph, open: &Open, parts: &Parts) -> Result<Self, Failure> {
        let (inputs, outputs) = (graph.inputs(), graph.outputs());
        let graph = Shared(Rc::new(RefCell::new(graph)));
        let mut facts = Facts {
            architecture: export::architecture(parts)?,
            quantization: "as stored".to_owned(),
            inputs: ports(&inputs),
            outputs: ports(&outputs),
            ..Facts::default()
        };
        let reads_text = inputs.iter().any(|port| port.name == "input_ids");
        let embedder = match parts.one(PartRole::Tokenizer)? {
            Some(tokenizer) if reads_text => {
                let config = parts.one(PartRole::TokenizerConfig)?;
                let text = Text::load(&TextFiles { tokenizer, config, generation: None }, 0)?;
                let files: Vec<&[u8]> = parts.all(PartRole::Pooling).chain(parts.all(PartRole::Config)).collect();
                let mut settings = Settings::read(&files)?;
                settings.tokens_max = settings.tokens_max.min(open.context_length.unwrap_or(usize::MAX)).max(1);
                facts.context_length = settings.tokens_max;
                Some(Embedder::new(graph.clone(), Arc::new(text), settings, BATCH_TOKENS))
            }
            _ => None,
        };
        // Rerankers give one number for a pair, and call it so.
        facts.reranks = embedder.is_some() && outputs.iter().any(scores);
        Ok(Self { graph, embedder, facts })
    }

    /// Reads a word, if it reads texts; other graphs say at their first request
    /// what they take.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        let Some(embedder) = &mut self.embedder else { return Ok(()) };
        if self.facts.reranks {
            embedder.rerank(&Rerank { query: "a".to_owned(), documents: vec!["b".to_owned()] })?;
        } else {
            let texts = vec!["a".to_owned(), "a b".to_owned()];
            let (event, _) = embedder.embed(&Embed { texts, tokens: Vec::new(), dimensions: None, truncate: true })?;
            if let Event::Vectors { size, .. } = event {
                self.facts.embedding_size = Some(size);
            }
        }
        Ok(())
    }

    /// What it can do.
    pub fn facts(&self) -> Facts {
        self.facts.clone()
    }

    /// Does `work`.
    ///
    /// # Errors
    /// What is wrong with it, or with the model.
    pub fn run(&mut self, work: Tensors) -> Result<(Event, Usage), Failure> {
        let unsupported = |why: &str| Err(failed(FailureKind::Unsupported, why));
        match (work, &mut self.embedder) {
            (Tensors::Infer(request), _) => self.infer(request),
            (Tensors::Rerank(request), Some(embedder)) if self.facts.reranks => embedder.rerank(&request),
            (Tensors::Embed(request), Some(embedder)) if !self.facts.reranks => embedder.embed(&request),
            (Tensors::Rerank(_), _) => unsupported("this model ranks no documents"),
            (Tensors::Embed(_), _) => unsupported("this model makes no vectors of texts"),
        }
    }

    fn infer(&self, request: Infer) -> Result<(Event, Usage), Failure> {
        let inputs = request.inputs.into_iter().map(taken).collect::<Result<Vec<_>, _>>()?;
        let run = self.graph.0.borrow_mut().run(inputs, &request.outputs);
        let outputs = run.map_err(|error| match error {
            RunError::Input { .. } => {
                Failure { field: Some("inputs".to_owned()), ..failed(FailureKind::Invalid, short(&error.to_string())) }
            }
            _ => of_model(short(&error.to_string())),
        })?;
        let outputs = outputs.into_iter().map(given).collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = outputs.iter().map(|tensor| tensor.data.len()).sum();
        if bytes > ANSWER_BYTES_MAX {
            let why = format!("the outputs have {bytes} bytes; ask for fewer, or for less than {ANSWER_BYTES_MAX}");
            return Err(failed(FailureKind::Invalid, why));
        }
        Ok((Event::Tensors { outputs }, Usage::default()))
    }
}

fn scores(port: &Port) -> bool {
    port.name == "logits" && port.shape.len() == 2 && matches!(port.shape.last(), Some(1 | 2))
}

fn ports(ports: &[Port]) -> Vec<(String, String, Vec<i64>)> {
    let told = |port: &Port| (short(&port.name), type_name(port.element), port.shape.clone());
    ports.iter().take(PORTS_MAX).map(told).collect()
}
