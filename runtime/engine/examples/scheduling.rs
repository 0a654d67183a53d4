//! What a step costs besides the arithmetic: a model that does nothing, a
//! vocabulary of 152,000 tokens. Prints a table, and the memory that reading
//! the vocabulary leaves behind.
//!
//! `cargo run --release -p weighbridge-engine --example scheduling`

use std::cell::Cell;
use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use weighbridge_engine::sample::{Random, Sampler, Scratch};
use weighbridge_engine::{Batch, Engine, Grammars, LanguageModel, Limits, Prepare, Shape, StepError, Text, TextFiles};
use weighbridge_inference_wire::{Constraint, Event, Generate, Prompt, Sampling};

const VOCABULARY: usize = 152_000;
const STEPS: u32 = 480;

struct Idle {
    logits: Vec<f32>,
}

impl LanguageModel for Idle {
    fn shape(&self) -> Shape {
        Shape { vocabulary: VOCABULARY, context_length: 4096, page_tokens: 32, pages: 16_384, shares_pages: true }
    }

    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError> {
        let count = batch.logit_rows.len() * VOCABULARY;
        self.logits.get(..count).ok_or(StepError::Memory { tokens: batch.tokens.len() })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("read") {
        return read();
    }
    let file = tokenizer()?;
    let mut reader = Command::new(std::env::current_exe()?).arg("read").stdin(Stdio::piped()).spawn()?;
    reader.stdin.take().ok_or("no pipe")?.write_all(file.as_bytes())?;
    reader.wait()?;
    let files = TextFiles { tokenizer: file.as_bytes(), config: None, generation: None };
    let text = Text::load(&files, VOCABULARY).map_err(|failure| failure.message)?;
    let text = Arc::new(text);
    let mut random = Random::new(1);
    // Like a model's: a bell of deviation 2, and a few tokens that stand out.
    let row: Vec<f32> = (0..VOCABULARY)
        .map(|token| {
            let bell: f32 = (0..12).map(|_| f32::from(random.bits().to_le_bytes()[0]) / 255.0).sum();
            (bell - 6.0) * 2.0 + if token % 5_000 == 7 { 14.0 } else { 0.0 }
        })
        .collect();
    let logits = row.repeat(64);

    println!("{:<44} {:>10} {:>10} {:>10}", "us per step of sequences:", 1, 8, 64);
    let greedy = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let plain = Sampling { temperature: Some(1.0), ..Sampling::default() };
    let kinds = [
        ("greedy", greedy.clone(), Constraint::Free),
        ("temperature 1", plain.clone(), Constraint::Free),
        ("top_p 0.95", Sampling { top_p: Some(0.95), ..plain.clone() }, Constraint::Free),
        ("top_k 40, top_p 0.95", Sampling { top_k: Some(40), top_p: Some(0.95), ..plain.clone() }, Constraint::Free),
        (
            "top_k 20, repetition 1.1",
            Sampling { top_k: Some(20), repetition_penalty: Some(1.1), ..plain },
            Constraint::Free,
        ),
        ("greedy, schema", greedy, Constraint::Schema(schema())),
    ];
    for (name, sampling, constraint) in kinds {
        print!("{name:<44}");
        for count in [1, 8, 64] {
            print!(" {:>10.1}", overhead(&text, &logits, count, &sampling, &constraint)?);
        }
        println!();
    }
    masks(&text, &row)
}

/// Microseconds of a step with so many sequences.
fn overhead(
    text: &Arc<Text>,
    logits: &[f32],
    count: u64,
    sampling: &Sampling,
    constraint: &Constraint,
) -> Result<f64, Box<dyn Error>> {
    let model = Idle { logits: logits.to_vec() };
    let prepare = Arc::new(Prepare::new(Arc::clone(text), None, model.shape(), None));
    let heard = Rc::new(Cell::new(0u64));
    let ears = Rc::clone(&heard);
    let mut engine = Engine::new(model, prepare, Limits::default(), move |_, event| {
        ears.set(ears.get() + u64::from(!matches!(event, Event::Failed { .. })));
    });
    for id in 0..count {
        engine.submit(
            id,
            Generate {
                prompt: Prompt::Tokens((0..16).map(|token| 300 + token).collect()),
                max_tokens: Some(STEPS + 20),
                choices: 1,
                stop: vec!["never said".to_owned()],
                sampling: sampling.clone(),
                constraint: constraint.clone(),
                logprobs: None,
                ignore_end: true,
                scope: 0,
            },
        );
    }
    for _ in 0..5 {
        engine.step();
    }
    let started = ran()?;
    let mut steps = 0u32;
    let enough = STEPS / u32::try_from(count.min(8))?;
    while steps < enough && engine.stats().running == u32::try_from(count)? {
        engine.step();
        steps += 1;
    }
    if heard.get() == 0 || steps == 0 {
        return Err("nothing was written".into());
    }
    Ok((ran()? - started) * 1e6 / f64::from(steps))
}

/// Times of masks along a constrained answer.
fn masks(text: &Arc<Text>, row: &[f32]) -> Result<(), Box<dyn Error>> {
    let failed = |failure: weighbridge_inference_wire::Failure| failure.message;
    let grammars = Grammars::new(Arc::clone(text), VOCABULARY);
    let started = ran()?;
    grammars.constrain(&Constraint::Json).map_err(failed)?;
    println!("\nreading the vocabulary and the first grammar: {:.1} ms", (ran()? - started) * 1e3);
    let started = ran()?;
    for _ in 0..20 {
        grammars.constrain(&Constraint::Schema(schema())).map_err(failed)?;
    }
    println!("compiling a schema: {:.2} ms", (ran()? - started) * 1e3 / 20.0);
    let (mut times, mut scratch) = (Vec::new(), Scratch::default());
    for seed in 0..20 {
        let mut grammar = grammars.constrain(&Constraint::Schema(schema())).map_err(failed)?.ok_or("free")?;
        let mut sampler = Sampler::new(&Sampling::default(), &Sampling::default(), VOCABULARY, seed).map_err(failed)?;
        for _ in 0..200 {
            let started = Instant::now();
            let mask = grammar.mask().map_err(failed)?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
            let token = sampler.draw(row, Some(mask), &[], &mut scratch).map_err(failed)?;
            if text.ends().contains(&token) || grammar.accept(token).map_err(failed)? {
                break;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "masks of a schema: {} of them, mean {:.0} us, median {:.0} us, 99 of 100 below {:.0} us",
        times.len(),
        times.iter().sum::<f64>() / times.len() as f64,
        at(50),
        at(99)
    );
    Ok(())
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 60},
            "year": {"type": "integer", "minimum": 1900, "maximum": 2100},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
            "rating": {"enum": ["good", "fair", "poor"]},
            "nested": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "boolean"}}, "required": ["a", "b"]}
        },
        "required": ["title", "year", "tags", "rating", "nested"],
        "additionalProperties": false
    })
}

/// A byte-level vocabulary of words with and without a space before them.
fn tokenizer() -> Result<String, Box<dyn Error>> {
    let mut vocabulary = Map::new();
    for code in (33..=126).chain(161..=172).chain(174..=323) {
        if let Some(character) = char::from_u32(code) {
            vocabulary.insert(character.to_string(), json!(vocabulary.len()));
        }
    }
    let marks = ["\"", "{\"", "\":", "\",", "},", "[]", "\"]", "ĠĠ", "Ċ", "\"}", ":Ġ\"", ",Ġ\""];
    for mark in marks {
        vocabulary.entry(mark).or_insert(json!(0));
    }
    // Words grow letter by letter, as a trained vocabulary's do.
    let mut random = Random::new(2);
    let mut words: Vec<String> = (b'a'..=b'z').map(|letter| char::from(letter).to_string()).collect();
    words.push("Ġ".to_owned());
    let mut merges = Vec::new();
    while vocabulary.len() < VOCABULARY - 1 {
        let begin = words.get(usize::try_from(random.bits())? % words.len()).cloned().unwrap_or_default();
        let letter = char::from(b'a' + u8::try_from(random.bits() % 26)?);
        let word = format!("{begin}{letter}");
        if word.len() < 14 && !vocabulary.contains_key(&word) {
            vocabulary.insert(word.clone(), json!(0));
            merges.push(json!([begin, letter.to_string()]));
            words.push(word);
        }
    }
    for (number, (_, token)) in vocabulary.iter_mut().enumerate() {
        *token = json!(number);
    }
    let end = vocabulary.len();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [{"id": end, "content": "<|im_end|>", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges}
    });
    Ok(file.to_string())
}

/// Reads a tokenizer in a process of its own, and says what that takes.
fn read() -> Result<(), Box<dyn Error>> {
    let mut file = Vec::new();
    std::io::stdin().read_to_end(&mut file)?;
    let (before, started) = (resident()?, ran()?);
    let files = TextFiles { tokenizer: &file, config: None, generation: None };
    let text = Text::load(&files, VOCABULARY).map_err(|failure| failure.message)?;
    let (took, after) = (ran()? - started, resident()?);
    println!(
        "reading a tokenizer of {} KB: {:.0} ms, {} KB stay resident\n",
        file.len() >> 10,
        took * 1e3,
        after - before
    );
    drop(text);
    Ok(())
}

/// Seconds that this thread ran; other programs do not count.
fn ran() -> Result<f64, Box<dyn Error>> {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(figures.split(' ').next().ok_or("no figure")?.parse::<f64>()? / 1e9)
}

/// KB of memory that are resident.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
