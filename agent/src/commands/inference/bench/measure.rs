//! Requests to the confined worker, as the gateway makes them.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::try_join_all;
use serde::Serialize;
use weighbridge_gateway::Work;
use weighbridge_inference_wire::{Constraint, Embed, Event, Facts, Generate, Prompt, Sampling, Usage};
use weighbridge_runtime::{Handle, Meter};

use super::BenchOptions;
use super::machine::Machine;
use crate::exit::Failure;

/// Tokens of a beginning that several requests share, as system prompts are.
const SHARED_TOKENS: u32 = 1000;
/// Tokens before the first that a stream writes.
const BEFORE_TOKENS: u32 = 128;
/// Texts of one request to an embedding model, and tokens of each.
const TEXTS: (u32, u32) = (64, 32);

/// How fast a model is.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub name: String,
    pub architecture: String,
    pub parameters: u64,
    pub quantization: String,
    /// All files that are loaded.
    pub bytes: u64,
    /// From the path to a worker that is ready, seconds; the import included
    /// if there was none.
    pub load_seconds: f64,
    /// Resident memory of the worker afterwards, bytes.
    pub resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<Prefill>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token: Option<FirstToken>,
    pub decode: Vec<Decode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
}

/// Reading a prompt.
#[derive(Debug, Serialize)]
pub struct Prefill {
    pub tokens: u32,
    pub tokens_per_second: f64,
}

/// From request to first token of the answer.
#[derive(Debug, Serialize)]
pub struct FirstToken {
    /// Of the prompt.
    pub tokens: u32,
    pub seconds: f64,
    /// If the prompt was read before.
    pub cached_seconds: f64,
}

/// Writing.
#[derive(Debug, Serialize)]
pub struct Decode {
    pub streams: u16,
    /// Of all streams together.
    pub tokens_per_second: f64,
    /// For one stream: share of what reading all weights once for each token
    /// would allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_limit: Option<f64>,
    /// Of the processors; where a sensor tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joules_per_token: Option<f64>,
}

/// Turning texts into vectors.
#[derive(Debug, Serialize)]
pub struct Embedding {
    pub tokens_each: u32,
    pub texts_per_second: f64,
}

impl Measured {
    /// Of one stream.
    pub fn share_of_limit(&self) -> Option<f64> {
        self.decode.iter().find_map(|d| d.share_of_limit)
    }
}

pub fn measure(
    handle: &Handle,
    load: Duration,
    options: &BenchOptions,
    machine: &mut Machine,
) -> Result<Measured, Failure> {
    let facts = handle.facts().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut measured = Measured {
        name: handle.name().to_owned(),
        architecture: facts.architecture.clone(),
        parameters: facts.parameters,
        quantization: facts.quantization.clone(),
        bytes: handle.info().size_bytes,
        load_seconds: load.as_secs_f64(),
        resident_bytes: None,
        prefill: None,
        first_token: None,
        decode: Vec::new(),
        embedding: None,
    };
    let mut bench = Bench { handle, facts: &facts, prompts: 0 };
    let round = |bench: &mut Bench<'_>, measured: &mut Measured, machine: &mut Machine| {
        if facts.generates {
            machine.look_again()?;
            runtime.block_on(bench.generating(options, measured))?;
        }
        if facts.embedding_size.is_some() {
            runtime.block_on(bench.embedding(measured))?;
        }
        Ok::<_, Failure>(())
    };
    if !facts.generates && facts.embedding_size.is_none() {
        return Err(Failure::Usage(format!(
            "`{}` neither writes text nor embeds it; there is nothing to measure",
            measured.name
        )));
    }
    for _ in 0..options.rounds {
        round(&mut bench, &mut measured, machine)?;
    }
    if let Some(one) = measured.decode.iter_mut().find(|d| d.streams == 1) {
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        let limit = machine.read_bytes_per_second / measured.bytes.max(1) as f64;
        one.share_of_limit = Some(one.tokens_per_second / limit);
    }
    measured.resident_bytes = handle.stats().map(|s| s.resident_bytes).filter(|b| *b > 0);
    Ok(measured)
}

struct Bench<'a> {
    handle: &'a Handle,
    facts: &'a Facts,
    /// Prompts made so far: no two begin alike.
    prompts: u32,
}

impl Bench<'_> {
    async fn generating(&mut self, options: &BenchOptions, best: &mut Measured) -> Result<(), Failure> {
        let most = u32::try_from(self.facts.context_length).unwrap_or(u32::MAX);
        let tokens = options.tokens.min(most / 4).max(2);
        let prompt = options.prompt.min(most / 2).max(1);
        let first = self.prompt(prompt);
        let usage = self.generate(first, 1).await?;
        let speed = f64::from(prompt) / seconds(usage.prefill_us);
        let known = best.prefill.get_or_insert(Prefill { tokens: prompt, tokens_per_second: 0.0 });
        known.tokens_per_second = known.tokens_per_second.max(speed);

        let shared = SHARED_TOKENS.min(most / 2).max(1);
        let prompt = self.prompt(shared);
        let mut times = Vec::new();
        for _ in 0..2 {
            let started = Instant::now();
            self.generate(prompt.clone(), 1).await?;
            times.push(started.elapsed().as_secs_f64());
        }
        if let [fresh, cached] = *times {
            let none = FirstToken { tokens: shared, seconds: f64::INFINITY, cached_seconds: f64::INFINITY };
            let known = best.first_token.get_or_insert(none);
            known.seconds = known.seconds.min(fresh);
            known.cached_seconds = known.cached_seconds.min(cached);
        }

        for streams in &options.streams {
            let found = self.decode(*streams, tokens, BEFORE_TOKENS.min(most / 2).max(1)).await?;
            match best.decode.iter_mut().find(|d| d.streams == *streams) {
                Some(known) if known.tokens_per_second >= found.tokens_per_second => {}
                Some(known) => *known = found,
                None => best.decode.push(found),
            }
        }
        Ok(())
    }

    async fn decode(&mut self, streams: u16, tokens: u32, before: u32) -> Result<Decode, Failure> {
        let prompts: Vec<Vec<u32>> = (0..streams).map(|_| self.prompt(before)).collect();
        // Read once, so that nobody's prompt is read while others write.
        try_join_all(prompts.iter().map(|p| self.generate(p.clone(), 1))).await?;
        let mut meter = Meter::start();
        let usages = try_join_all(prompts.into_iter().map(|p| self.generate(p, tokens))).await?;
        let written: u32 = usages.iter().map(|u| u.completion_tokens).sum();
        // The first token of each came with its prompt.
        let after_first = written.saturating_sub(u32::from(streams));
        let longest = usages.iter().map(|u| u.decode_us).max().unwrap_or_default();
        Ok(Decode {
            streams,
            tokens_per_second: f64::from(after_first) / seconds(longest),
            share_of_limit: None,
            joules_per_token: meter.joules().map(|j| j / f64::from(written.max(1))),
        })
    }

    async fn embedding(&mut self, best: &mut Measured) -> Result<(), Failure> {
        let (texts, most) = (TEXTS.0, u32::try_from(self.facts.context_length).unwrap_or(u32::MAX));
        let each = TEXTS.1.min(most).max(1);
        let tokens = (0..texts).map(|_| self.prompt(each)).collect();
        let request = Embed { texts: Vec::new(), tokens, dimensions: None, truncate: false };
        let started = Instant::now();
        self.done(Work::Embed(request)).await?;
        let speed = f64::from(texts) / started.elapsed().as_secs_f64();
        let known = best.embedding.get_or_insert(Embedding { tokens_each: each, texts_per_second: 0.0 });
        known.texts_per_second = known.texts_per_second.max(speed);
        Ok(())
    }

    async fn generate(&self, prompt: Vec<u32>, tokens: u32) -> Result<Usage, Failure> {
        let request = Generate {
            prompt: Prompt::Tokens(prompt),
            max_tokens: Some(tokens),
            choices: 1,
            stop: Vec::new(),
            sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
            constraint: Constraint::Free,
            logprobs: None,
            ignore_end: true,
            scope: 0,
        };
        self.done(Work::Generate(Box::new(request))).await
    }

    async fn done(&self, work: Work) -> Result<Usage, Failure> {
        let name = self.handle.name();
        let failed = |why: &str| Failure::Usage(format!("`{name}` cannot be measured: {why}"));
        let mut events = self.handle.submit(work).map_err(|r| failed(&r.failure.message))?;
        while let Some(event) = events.next().await {
            match event {
                Event::Done { usage } => return Ok(usage),
                Event::Failed { failure } => return Err(failed(&failure.message)),
                _ => {}
            }
        }
        Err(failed("its worker went away"))
    }

    /// So many tokens of no meaning.
    fn prompt(&mut self, tokens: u32) -> Vec<u32> {
        self.prompts = self.prompts.wrapping_add(1);
        let vocabulary = u32::try_from(self.facts.vocabulary).unwrap_or(u32::MAX).max(1);
        let seed = self.prompts.wrapping_mul(0x9e37_79b9);
        (0..tokens).map(|n| n.wrapping_mul(7919).wrapping_add(seed) % vocabulary).collect()
    }
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds.max(1)).as_secs_f64()
}
