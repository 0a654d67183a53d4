//! Models that behave like workers: deltas with delays, failures, floods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use weighbridge_gateway::{Caller, EventSender, Events, ModelInfo, ModelState, Models, Refusal, Work, events};
use weighbridge_inference_wire::{
    Call, Constraint, Event, Facts, Failure, FailureKind, FinishReason, Generate, Infer, Prompt, Stats, Tensor,
    TensorType, TokenChance, ToolChoice, Usage,
};

#[derive(Default)]
pub struct Fake {
    running: Arc<AtomicUsize>,
}

/// Counts work that is under way.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

fn model(id: &str, facts: Facts) -> Arc<ModelInfo> {
    Arc::new(ModelInfo { id: id.to_owned(), size_bytes: 1000, facts: Some(facts), ..ModelInfo::default() })
}

impl Models for Fake {
    fn list(&self) -> Vec<Arc<ModelInfo>> {
        let io = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), "INT32".to_owned(), vec![-1, 4])).collect();
        vec![
            model(
                "tiny",
                Facts {
                    generates: true,
                    chats: true,
                    calls_tools: true,
                    architecture: "fake".to_owned(),
                    context_length: 4096,
                    parameters: 1_500_000_000,
                    quantization: "int4".to_owned(),
                    template: Some("{{ messages }}".to_owned()),
                    ..Facts::default()
                },
            ),
            model("secret", Facts::default()),
            Arc::new(ModelInfo {
                id: "taken".to_owned(),
                state: ModelState::Revoked("`taken` was revoked: it is unsafe; ask alice".to_owned()),
                ..ModelInfo::default()
            }),
            model("embed", Facts { embedding_size: Some(8), ..Facts::default() }),
            model("rerank", Facts { reranks: true, ..Facts::default() }),
            model(
                "add",
                Facts { inputs: io(&["INPUT0", "INPUT1"]), outputs: io(&["OUTPUT0", "OUTPUT1"]), ..Facts::default() },
            ),
        ]
    }

    fn find(&self, name: &str) -> Option<Arc<ModelInfo>> {
        self.list().into_iter().find(|m| m.id == name)
    }

    fn submit(&self, _: &ModelInfo, work: Work, _: &Caller) -> BoxFuture<'static, Result<Events, Refusal>> {
        let running = self.running.clone();
        Box::pin(async move {
            if let Work::Generate(generate) = &work
                && said(generate).contains("busy")
            {
                let failure = failure(FailureKind::Busy, "the queue is full");
                return Err(Refusal { failure, retry_after: Some(Duration::from_secs(7)) });
            }
            let counts = matches!(&work, Work::Generate(generate) if said(generate).starts_with("count "));
            let (sender, events) = events(if counts { 1 << 16 } else { 256 });
            running.fetch_add(1, Ordering::SeqCst);
            let busy = Busy(running);
            tokio::spawn(async move {
                let _busy = busy;
                let work = async {
                    match work {
                        Work::Generate(generate) => write(*generate, &sender).await,
                        Work::Embed(embed) => {
                            let texts = embed.texts.iter().map(|t| t.len()).chain(embed.tokens.iter().map(Vec::len));
                            let size = embed.dimensions.unwrap_or(8);
                            let numbers =
                                texts.flat_map(|length| (0..size).map(move |at| (length as f32) + at as f32 / 8.0));
                            let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
                            let _ = sender.send(Event::Vectors { size, data: STANDARD.encode(bytes) });
                            done(&sender, 3, 0);
                        }
                        Work::Rerank(rerank) => {
                            let hits = |d: &String| rerank.query.split(' ').filter(|w| d.contains(w)).count() as f32;
                            let _ = sender.send(Event::Scores { scores: rerank.documents.iter().map(hits).collect() });
                            done(&sender, 5, 0);
                        }
                        Work::Infer(infer) => run(&infer, &sender),
                    }
                };
                tokio::select! {
                    () = work => {}
                    () = sender.closed() => {}
                }
            });
            Ok(events)
        })
    }

    fn stats(&self, model: &str) -> Option<Stats> {
        (model == "tiny").then(|| Stats { pages: 7, steps: 11, ..Stats::default() })
    }

    fn joules(&self) -> Option<f64> {
        Some(1.5)
    }
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, message: message.to_owned(), field: None }
}

fn done(sender: &EventSender, read: u32, written: u32) {
    let usage =
        Usage { prompt_tokens: read, cached_tokens: 1, completion_tokens: written, decode_us: 5, ..Usage::default() };
    let _ = sender.send(Event::Done { usage });
}

/// The last thing said.
fn said(generate: &Generate) -> String {
    match &generate.prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Tokens(tokens) => tokens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Prompt::Chat(chat) => chat.messages.last().map(|m| m.content.clone()).unwrap_or_default(),
    }
}

async fn write(generate: Generate, sender: &EventSender) {
    let text = said(&generate);
    let has = |word: &str| text.contains(word);
    if has("too-long") {
        let failure = failure(FailureKind::TooLong, "the prompt has 9000 tokens; the model reads 4096");
        let _ = sender.send(Event::Failed { failure });
        return;
    }
    if let Some(count) = text.strip_prefix("count ").and_then(|n| n.parse::<u32>().ok()) {
        for at in 0..count {
            if sender.send(token(&generate, 0, &format!("{at} "))).is_err() {
                return;
            }
            if at % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let _ = sender.send(Event::Finished { choice: 0, reason: FinishReason::Stop });
        return done(sender, 4, count);
    }
    if has("forever") || has("flood") {
        let pause = if has("flood") { Duration::ZERO } else { Duration::from_millis(10) };
        let big = "x".repeat(if has("flood") { 4000 } else { 1 });
        loop {
            if sender.send(token(&generate, 0, &big)).is_err() {
                return;
            }
            if pause.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(pause).await }
        }
    }
    if has("lie") {
        let _ = sender.send(token(&generate, 99, "not asked for"));
        return;
    }
    if let Prompt::Chat(chat) = &generate.prompt {
        let wants =
            !matches!(chat.tool_choice, ToolChoice::None) && chat.messages.last().is_none_or(|m| m.role != "tool");
        let forced = matches!(chat.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
        if !chat.tools.is_empty() && wants && (forced || has("weather")) {
            for (index, tool) in (0..).zip(chat.tools.iter().take(2)) {
                let arguments = "{\"city\": \"Oslo\"}".to_owned();
                let _ =
                    sender.send(Event::Call { choice: 0, call: Call { index, name: tool.name.clone(), arguments } });
            }
            let _ = sender.send(Event::Finished { choice: 0, reason: FinishReason::Calls });
            return done(sender, 12, 9);
        }
    }
    let answer = match &generate.constraint {
        Constraint::Json | Constraint::Schema(_) => "{\"answer\": 42, \"city\": \"Oslo\"}".to_owned(),
        _ => format!("echo: {text}"),
    };
    let mut tokens = 0;
    for choice in 0..generate.choices {
        if has("think") {
            let _ = sender.send(Event::Text { choice, text: "hm".to_owned(), thought: true, chances: Vec::new() });
        }
        let mut reason = FinishReason::Stop;
        let cut = generate.stop.iter().filter_map(|stop| answer.find(stop.as_str())).min().unwrap_or(answer.len());
        for (at, word) in answer[..cut].split_inclusive(' ').enumerate() {
            if generate.max_tokens.is_some_and(|most| at >= most as usize) {
                reason = FinishReason::Length;
                break;
            }
            if has("slow") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if has("break") && at == 1 {
                let _ = sender.send(Event::Failed { failure: failure(FailureKind::Gone, "the worker ended") });
                return;
            }
            if has("vanish") && at == 1 {
                return;
            }
            tokens += 1;
            if sender.send(token(&generate, choice, word)).is_err() {
                return;
            }
            // A step of the model.
            tokio::task::yield_now().await;
        }
        let _ = sender.send(Event::Finished { choice, reason });
    }
    done(sender, 4, tokens);
}

fn token(generate: &Generate, choice: u32, text: &str) -> Event {
    let bytes = text.as_bytes().to_vec();
    let chance = |top: u32| TokenChance {
        token: 1,
        text: text.to_owned(),
        bytes: bytes.clone(),
        logprob: -0.5,
        likeliest: (0..top)
            .map(|n| (n, format!("t{n}"), vec![1], if n == 0 { f32::NEG_INFINITY } else { -1.0 }))
            .collect(),
    };
    let chances = generate.logprobs.map(chance).into_iter().collect();
    Event::Text { choice, text: text.to_owned(), thought: false, chances }
}

/// `OUTPUT0` is the sum and `OUTPUT1` the difference of the inputs; texts come
/// back as they are.
fn run(infer: &Infer, sender: &EventSender) {
    let numbers = |at: usize| -> Vec<i32> {
        let bytes = infer.inputs.get(at).map(|t| STANDARD.decode(&t.data).unwrap()).unwrap_or_default();
        bytes.as_chunks::<4>().0.iter().map(|c| i32::from_le_bytes(*c)).collect()
    };
    let Some(first) = infer.inputs.first() else { return };
    let outputs = match first.element {
        TensorType::Int32 => {
            let (a, b) = (numbers(0), numbers(1));
            let of = |name: &str, f: fn(i32, i32) -> i32| Tensor {
                name: name.to_owned(),
                data: STANDARD.encode(a.iter().zip(&b).flat_map(|(a, b)| f(*a, *b).to_le_bytes()).collect::<Vec<_>>()),
                ..first.clone()
            };
            let all = vec![of("OUTPUT0", i32::wrapping_add), of("OUTPUT1", i32::wrapping_sub)];
            all.into_iter().filter(|t| infer.outputs.is_empty() || infer.outputs.contains(&t.name)).collect()
        }
        _ => vec![Tensor { name: "OUTPUT0".to_owned(), ..first.clone() }],
    };
    let _ = sender.send(Event::Tensors { outputs });
    done(sender, 0, 0);
}
