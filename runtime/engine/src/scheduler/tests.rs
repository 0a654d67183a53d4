use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use proptest::prelude::*;
use weighbridge_inference_wire::{Constraint, FinishReason, Prompt, Sampling, Usage};

use super::fake::{Fake, logits};
use super::*;
use crate::text::samples;
use crate::text::{Text, Utf8};

fn text() -> Arc<Text> {
    static ONCE: OnceLock<Arc<Text>> = OnceLock::new();
    Arc::clone(ONCE.get_or_init(|| Arc::new(samples::load(&samples::byte_level()))))
}

const VOCABULARY: usize = 450;

fn shape(pages: usize) -> Shape {
    Shape { vocabulary: VOCABULARY, context_length: 400, page_tokens: 8, pages, shares_pages: true }
}

/// What was said to one request.
#[derive(Debug, Clone, Default, PartialEq)]
struct Heard {
    texts: BTreeMap<u32, String>,
    reasons: BTreeMap<u32, FinishReason>,
    tokens: Vec<u32>,
    failure: Option<Failure>,
    usage: Option<Usage>,
}

impl Heard {
    /// What does not depend on time or company.
    fn essence(&self) -> (&BTreeMap<u32, String>, &BTreeMap<u32, FinishReason>, Option<u32>) {
        (&self.texts, &self.reasons, self.usage.map(|usage| usage.completion_tokens))
    }
}

type Ears = Rc<RefCell<BTreeMap<RequestId, Heard>>>;
type Tested = Engine<Fake, Box<dyn FnMut(RequestId, Event)>>;

fn engine(shape: Shape, limits: Limits) -> (Tested, Ears) {
    let ears = Ears::default();
    let heard = Rc::clone(&ears);
    let sink = Box::new(move |id, event| {
        let mut heard = heard.borrow_mut();
        let heard = heard.entry(id).or_default();
        assert!(heard.usage.is_none() && heard.failure.is_none(), "nothing follows the end of request {id}");
        match event {
            Event::Text { choice, text, chances, .. } => {
                assert!(!heard.reasons.contains_key(&choice));
                heard.texts.entry(choice).or_default().push_str(&text);
                heard.tokens.extend(chances.iter().map(|chance| chance.token));
            }
            Event::Finished { choice, reason } => assert!(heard.reasons.insert(choice, reason).is_none()),
            Event::Done { usage } => heard.usage = Some(usage),
            Event::Failed { failure } => heard.failure = Some(failure),
            other => panic!("{other:?}"),
        }
    });
    let prepare = Arc::new(Prepare::new(text(), None, shape, None));
    (Engine::new(Fake::new(shape), prepare, limits, sink), ears)
}

fn request(prompt: &[u32], tokens: u32) -> Generate {
    Generate {
        prompt: Prompt::Tokens(prompt.to_vec()),
        max_tokens: Some(tokens),
        choices: 1,
        stop: Vec::new(),
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        constraint: Constraint::Free,
        logprobs: None,
        ignore_end: false,
        scope: 0,
    }
}

fn drain(engine: &mut Tested) {
    let mut steps = 0;
    while engine.step() {
        steps += 1;
        assert!(steps < 100_000, "it comes to an end");
    }
    let stats = engine.stats();
    assert_eq!((stats.pages_used, stats.running, stats.waiting), (0, 0, 0));
    assert!(engine.requests.is_empty() && engine.is_idle());
    assert_eq!(engine.model.kept(), 0);
}

/// All requests at once.
fn together(shape: Shape, limits: Limits, requests: &[Generate]) -> Vec<Heard> {
    let (mut engine, ears) = engine(shape, limits);
    for (id, request) in (0..).zip(requests) {
        engine.submit(id, request.clone());
    }
    drain(&mut engine);
    assert!(engine.model.largest <= limits.step_tokens.max(requests.len() * 4 + shape.page_tokens));
    let heard = ears.borrow();
    heard.values().cloned().collect()
}

/// Each in an engine of its own.
fn alone(requests: &[Generate]) -> Vec<Heard> {
    let of = |request: &Generate| together(shape(500), Limits::default(), std::slice::from_ref(request)).remove(0);
    requests.iter().map(of).collect()
}

fn same(left: &[Heard], right: &[Heard]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left.essence(), right.essence());
    }
}

/// The greedy answer, computed without an engine.
fn expected(prompt: &[u32], count: usize) -> (String, FinishReason) {
    let (mut tokens, text) = (prompt.to_vec(), text());
    let (mut said, mut utf8) = (String::new(), Utf8::default());
    for _ in 0..count {
        let mut row = Vec::new();
        logits(&tokens, VOCABULARY, &mut row);
        let best = row.iter().copied().fold(f32::MIN, f32::max);
        let token = row.iter().position(|&logit| logit == best).unwrap() as u32;
        if text.ends().contains(&token) {
            utf8.finish(&mut said);
            return (said, FinishReason::Stop);
        }
        tokens.push(token);
        if !text.is_special(token) {
            utf8.push(text.bytes(token), &mut said);
        }
    }
    utf8.finish(&mut said);
    (said, FinishReason::Length)
}

/// Requests that share beginnings, of all lengths.
fn mixed(count: u32) -> Vec<Generate> {
    let shared: Vec<u32> = (0..40).map(|i| 10 + i * 7 % 400).collect();
    (0..count)
        .map(|number| {
            let mut prompt = shared[..(number as usize * 13) % 41].to_vec();
            prompt.extend((0..1 + number * 5 % 60).map(|i| 6 + (number * 31 + i * i) % 440));
            let mut request = request(&prompt, 5 + number * 11 % 70);
            if number % 3 == 1 {
                request.sampling = Sampling {
                    seed: Some(u64::from(number)),
                    top_p: Some(0.9),
                    temperature: Some(0.8),
                    repetition_penalty: Some(1.1),
                    frequency_penalty: Some(0.2),
                    ..Sampling::default()
                };
            }
            request.choices = if number % 7 == 3 { 3 } else { 1 };
            request.ignore_end = number % 5 == 0;
            request
        })
        .collect()
}

#[test]
fn greedy_answers_are_what_the_model_says() {
    for length in [1, 7, 8, 9, 16, 17, 100] {
        let prompt: Vec<u32> = (0..length).map(|i| 6 + i * 3 % 400).collect();
        let heard = alone(&[request(&prompt, 60)]).remove(0);
        let (said, reason) = expected(&prompt, 60);
        assert_eq!(heard.texts.get(&0).cloned().unwrap_or_default(), said);
        assert_eq!(heard.reasons[&0], reason);
        assert_eq!(heard.usage.unwrap().prompt_tokens, length);
    }
}

#[test]
fn many_together_are_as_one_at_a_time() {
    let requests = mixed(40);
    let one = alone(&requests);
    same(&together(shape(2000), Limits::default(), &requests), &one);
    let small = Limits { step_tokens: 16, sequences_max: 5, ..Limits::default() };
    same(&together(shape(2000), small, &requests), &one);
}

#[test]
fn giving_way_changes_nothing() {
    let requests = mixed(40);
    let one = alone(&requests);
    // Room for the longest alone, and for little else.
    let tight = Limits { reserve_tokens: 0, ..Limits::default() };
    let (mut engine, ears) = engine(shape(40), tight);
    for (id, request) in (0..).zip(&requests) {
        engine.submit(id, request.clone());
    }
    let mut gave_way = false;
    while engine.step() {
        gave_way |= engine.waiting.iter().any(|sequence| !sequence.fresh);
    }
    assert!(gave_way, "the test is of no use otherwise");
    same(&ears.borrow().values().cloned().collect::<Vec<_>>(), &one);
    assert_eq!(engine.stats().pages_used, 0);
}

#[test]
fn models_with_their_own_state_work_without_sharing() {
    let requests = mixed(30);
    for pages in [2000, 40] {
        let own = Shape { shares_pages: false, ..shape(pages) };
        let heard = together(own, Limits { reserve_tokens: 0, ..Limits::default() }, &requests);
        same(&heard, &alone(&requests));
        assert!(heard.iter().all(|heard| heard.usage.unwrap().cached_tokens == 0));
    }
}

#[test]
fn a_prompt_seen_before_is_found_and_changes_nothing() {
    let (mut engine, ears) = engine(shape(500), Limits::default());
    let prompt: Vec<u32> = (0..100).map(|i| 10 + i).collect();
    for id in 0..2 {
        engine.submit(id, request(&prompt, 20));
        drain(&mut engine);
    }
    engine.submit(2, request(&prompt[..96], 20));
    drain(&mut engine);
    // The next turn of a conversation: prompt, answer, more.
    let heard = ears.borrow().clone();
    assert_eq!(heard[&0].essence(), heard[&1].essence());
    assert_eq!(heard[&0].usage.unwrap().cached_tokens, 0);
    assert_eq!(heard[&1].usage.unwrap().cached_tokens, 96);
    assert_eq!(heard[&2].usage.unwrap().cached_tokens, 88, "the last token is always read");
    assert!(engine.stats().pages_cached > 0);
}

#[test]
fn a_prompt_of_another_is_not_found() {
    let (mut engine, ears) = engine(shape(500), Limits::default());
    let prompt: Vec<u32> = (0..100).map(|i| 10 + i).collect();
    for (id, scope) in [(0, 7), (1, 8), (2, 7), (3, 8)] {
        engine.submit(id, Generate { scope, ..request(&prompt, 20) });
        drain(&mut engine);
    }
    // Neither together nor after giving way.
    for (id, scope) in [(4, 9), (5, 10)] {
        engine.submit(id, Generate { scope, ..request(&prompt, 20) });
    }
    engine.step();
    let sequence = engine.running.pop().unwrap();
    engine.preempt(sequence);
    drain(&mut engine);
    let heard = ears.borrow().clone();
    let cached: Vec<u32> = heard.values().map(|heard| heard.usage.unwrap().cached_tokens).collect();
    assert_eq!(cached[..5], [0, 0, 96, 96, 0]);
    assert!(heard.values().all(|one| one.essence() == heard[&0].essence()));
}

#[test]
fn answers_are_found_again_as_prompts() {
    let (mut engine, ears) = engine(shape(500), Limits::default());
    let prompt: Vec<u32> = (0..20).map(|i| 10 + i).collect();
    engine.submit(0, Generate { logprobs: Some(0), ignore_end: true, ..request(&prompt, 40) });
    drain(&mut engine);
    let (mut tokens, mut row) = (prompt, Vec::new());
    for _ in 0..40 {
        row.clear();
        logits(&tokens, VOCABULARY, &mut row);
        let best = row.iter().copied().fold(f32::MIN, f32::max);
        tokens.push(row.iter().position(|&logit| logit == best).unwrap() as u32);
    }
    engine.submit(1, request(&tokens, 5));
    drain(&mut engine);
    assert_eq!(ears.borrow()[&1].usage.unwrap().cached_tokens, 56, "all full pages that were written");
}

#[test]
fn a_request_takes_over_what_another_is_reading() {
    let prompt: Vec<u32> = (0..200).map(|i| 10 + i).collect();
    let limits = Limits { step_tokens: 32, ..Limits::default() };
    let heard = together(shape(500), limits, &[request(&prompt, 4), request(&prompt, 4)]);
    assert!(heard[1].usage.unwrap().cached_tokens >= 160, "{:?}", heard[1].usage);
    assert_eq!(heard[0].essence(), heard[1].essence());
}

#[test]
fn a_sequence_read_again_begins_at_the_beginning() {
    // Every page of this prompt has the same tokens; only its place differs.
    let (mut engine, ears) = engine(shape(500), Limits::default());
    engine.submit(0, request(&[9; 65], 20));
    engine.step();
    let sequence = engine.running.pop().unwrap();
    engine.preempt(sequence);
    engine.step();
    engine.submit(1, request(&[9; 120], 20));
    drain(&mut engine);
    let heard: Vec<Heard> = ears.borrow().values().cloned().collect();
    same(&heard, &alone(&[request(&[9; 65], 20), request(&[9; 120], 20)]));
    assert_eq!(heard[1].usage.unwrap().cached_tokens, 64);
}

#[test]
fn choices_share_the_prompt_and_differ() {
    let prompt: Vec<u32> = (0..100).map(|i| 10 + i).collect();
    let mut wanted = request(&prompt, 12);
    wanted.choices = 8;
    wanted.ignore_end = true;
    wanted.sampling = Sampling { seed: Some(1), ..Sampling::default() };
    let (mut engine, ears) = engine(shape(500), Limits::default());
    engine.submit(0, wanted.clone());
    let mut most = 0;
    while engine.step() {
        most = most.max(engine.stats().pages_used);
    }
    assert!(most <= 13 + 7 * 2 + 8, "twelve pages are shared: {most}");
    let heard = ears.borrow()[&0].clone();
    assert_eq!(heard.reasons.len(), 8);
    let mut texts: Vec<_> = heard.texts.values().collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 8);
    let first = alone(&[Generate { choices: 1, ..wanted }]).remove(0);
    assert_eq!(first.texts[&0], heard.texts[&0], "the first is what it is without the others");
}

#[test]
fn reading_does_not_hold_up_writing() {
    let limits = Limits { step_tokens: 32, ..Limits::default() };
    let (mut engine, ears) = engine(shape(500), limits);
    engine.submit(0, Generate { ignore_end: true, logprobs: Some(0), ..request(&[50, 51], 60) });
    engine.step();
    let long: Vec<u32> = (0..380).map(|i| 6 + i).collect();
    engine.submit(1, request(&long, 5));
    let before = ears.borrow()[&0].clone();
    for _ in 0..10 {
        engine.step();
    }
    assert!(!ears.borrow().contains_key(&1), "still reading");
    let written = engine.running.iter().find(|one| one.request == 0).unwrap().tokens.len();
    assert_eq!(written, 2 + 1 + 10, "a token each step");
    assert!(before.usage.is_none());
    drain(&mut engine);
}

#[test]
fn a_slow_model_reads_in_smaller_pieces_while_others_write() {
    let long: Vec<u32> = (0..300).map(|i| 6 + i).collect();
    let others = [request(&[50, 51], 40), request(&long, 5)];
    let (mut engine, ears) = engine(shape(500), Limits::default());
    engine.model.takes = Duration::from_millis(5);
    engine.submit(0, request(&long[1..], 5));
    drain(&mut engine);
    assert!(engine.model.largest <= 300, "{}", engine.model.largest);
    for id in 1..=2 {
        engine.submit(id, Generate { ignore_end: true, ..others[id as usize - 1].clone() });
        engine.step();
    }
    engine.model.largest = 0;
    drain(&mut engine);
    // 250 ms at 5 ms a token, and the page a chunk ends with.
    assert!((32..=58).contains(&engine.model.largest), "{}", engine.model.largest);
    let slow: Vec<Heard> = ears.borrow().values().skip(2).cloned().collect();
    same(&slow, &alone(&[Generate { ignore_end: true, ..others[1].clone() }]));
}

#[test]
fn answers_share_their_prompt_until_they_differ() {
    let (mut engine, _ears) = engine(shape(500), Limits::default());
    let prompt: Vec<u32> = (0..100).map(|i| 10 + i).collect();
    let request = Generate { choices: 100, ignore_end: true, ..request(&prompt, 4) };
    let prepared = Arc::clone(engine.prepare()).prepare(request).unwrap();
    let prompt = Arc::clone(&prepared.tokens);
    engine.enqueue(1, prepared);
    assert_eq!(Arc::strong_count(&prompt), 101, "ours and those of all answers");
    drain(&mut engine);
    assert_eq!(Arc::strong_count(&prompt), 1);
}

#[test]
fn limits_are_told_with_numbers() {
    let (mut engine, ears) = engine(shape(20), Limits { queue_max: 3, ..Limits::default() });
    let of = |id| ears.borrow()[&id].failure.clone().unwrap();
    engine.submit(0, request(&[9; 160], 5));
    assert_eq!(of(0).kind, FailureKind::TooLong);
    assert!(of(0).message.contains("160"), "{}", of(0).message);
    engine.submit(1, request(&[9, 450], 5));
    assert_eq!((of(1).kind, of(1).field.as_deref()), (FailureKind::Invalid, Some("prompt")));
    engine.submit(2, request(&[], 5));
    assert_eq!(of(2).kind, FailureKind::Invalid);
    engine.submit(3, Generate { choices: 0, ..request(&[9], 5) });
    assert_eq!(of(3).field.as_deref(), Some("n"));
    engine.submit(4, Generate { max_tokens: Some(0), ..request(&[9], 5) });
    assert_eq!(of(4).field.as_deref(), Some("max_tokens"));
    engine.submit(5, Generate { stop: vec!["x".into(); 100], ..request(&[9], 5) });
    assert_eq!(of(5).field.as_deref(), Some("stop"));
    let chat = weighbridge_inference_wire::Chat {
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: weighbridge_inference_wire::ToolChoice::Auto,
        template_variables: serde_json::Map::new(),
    };
    engine.submit(6, Generate { prompt: Prompt::Text("x".repeat(1 << 22)), ..request(&[9], 5) });
    assert_eq!(of(6).kind, FailureKind::TooLong);
    for id in 10..13 {
        engine.submit(id, request(&[9], 5));
    }
    engine.submit(13, request(&[9], 5));
    assert_eq!(of(13).kind, FailureKind::Busy);
    engine.submit(14, Generate { choices: 2, ..request(&[9], 5) });
    assert_eq!(of(14).kind, FailureKind::Busy);
    drain(&mut engine);
    assert!(ears.borrow()[&12].usage.is_some());
    // The sample knows `<|im_start|>`, but this engine was given no template.
    engine.submit(20, Generate { prompt: Prompt::Chat(chat), ..request(&[9], 5) });
    assert_eq!(of(20).kind, FailureKind::Unsupported);
}

#[test]
fn an_answer_fills_the_context_and_no_more() {
    let heard = together(
        shape(10),
        Limits::default(),
        &[Generate { max_tokens: None, ignore_end: true, ..request(&[9; 30], 1) }],
    );
    assert_eq!(heard[0].usage.unwrap().completion_tokens, 50);
    assert_eq!(heard[0].reasons[&0], FinishReason::Length);
}

#[test]
fn a_failed_step_ends_its_requests_and_no_others() {
    let (mut engine, ears) = engine(shape(500), Limits { sequences_max: 2, ..Limits::default() });
    engine.model.fails_at = Some(3);
    for id in 0..4 {
        engine.submit(id, Generate { ignore_end: true, ..request(&[9, 10 + id as u32], 20) });
    }
    drain(&mut engine);
    for id in 0..2 {
        let failure = ears.borrow()[&id].failure.clone().unwrap();
        assert_eq!(failure.kind, FailureKind::Model);
        assert!(failure.message.contains("torn"));
    }
    for id in 2..4 {
        assert_eq!(ears.borrow()[&id].usage.unwrap().completion_tokens, 20);
    }
}

#[test]
fn logits_that_are_no_numbers_fail_the_request_with_all_its_choices() {
    let (mut engine, ears) = engine(shape(500), Limits::default());
    engine.model.breaks_at = Some(4);
    engine.submit(0, Generate { ignore_end: true, choices: 3, ..request(&[9; 20], 20) });
    drain(&mut engine);
    assert_eq!(ears.borrow()[&0].failure.clone().unwrap().kind, FailureKind::Model);
    assert_eq!(engine.stats().pages_cached, 0, "what led there is forgotten");
    engine.submit(1, request(&[9, 10], 20));
    drain(&mut engine);
    assert!(ears.borrow()[&1].usage.is_some());
}

#[test]
fn a_thousand_streams() {
    let requests: Vec<Generate> = (0..1000u32).map(|i| request(&[6 + i % 400, 7 + i / 400, 9], 12)).collect();
    let heard = together(shape(700), Limits { step_tokens: 512, ..Limits::default() }, &requests);
    assert_eq!(heard.len(), 1000);
    for (heard, request) in heard.iter().zip(&requests).step_by(97) {
        let Prompt::Tokens(prompt) = &request.prompt else { unreachable!() };
        assert_eq!(heard.texts.get(&0).cloned().unwrap_or_default(), expected(prompt, 12).0);
    }
}

#[test]
fn logprobs_name_the_tokens_that_were_drawn() {
    let (mut engine, ears) = engine(shape(500), Limits::default());
    let prompt = [20, 21, 22];
    engine.submit(0, Generate { logprobs: Some(2), ..request(&prompt, 10) });
    drain(&mut engine);
    let mut tokens = prompt.to_vec();
    for &token in &ears.borrow()[&0].tokens {
        let mut row = Vec::new();
        logits(&tokens, VOCABULARY, &mut row);
        assert_eq!(row[token as usize], row.iter().copied().fold(f32::MIN, f32::max));
        tokens.push(token);
    }
    assert!(tokens.len() > 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn storms_of_cancels_leave_nothing(
        seed in any::<u64>(),
        pages in 20usize..200,
        step_tokens in 8usize..100,
        shares_pages in any::<bool>(),
    ) {
        let shape = Shape { context_length: 120, shares_pages, ..shape(pages) };
        let (mut engine, ears) = engine(shape, Limits { step_tokens, reserve_tokens: 8, sequences_max: 20, queue_max: 50 });
        let mut random = crate::sample::Random::new(seed);
        let mut below = |most: u64| random.bits() % most;
        let mut cancelled = Vec::new();
        let mut id = 0;
        for _ in 0..300 {
            match below(4) {
                0 => {
                    let prompt: Vec<u32> = (0..1 + below(90) as u32).map(|i| 6 + i % (1 + below(3) as u32 * 100)).collect();
                    let choices = 1 + below(3) as u32;
                    engine.submit(id, Generate { choices, ignore_end: below(2) == 0, ..request(&prompt, 1 + below(60) as u32) });
                    id += 1;
                }
                1 if id > 0 => {
                    let one = below(id);
                    engine.cancel(one);
                    cancelled.push((one, ears.borrow().get(&one).cloned()));
                }
                _ => { engine.step(); }
            }
            let used: std::collections::BTreeSet<u32> = engine.running.iter().flat_map(|one| one.pages.iter().copied()).collect();
            prop_assert_eq!(used.len(), engine.pool.used(), "each page in use is some sequence's");
        }
        for (one, heard) in cancelled {
            prop_assert_eq!(ears.borrow().get(&one).cloned(), heard, "nothing is said after a cancel");
        }
        for one in 0..id {
            if below(2) == 0 { engine.cancel(one); }
        }
        drain(&mut engine);
        engine.pool.forget();
        prop_assert_eq!(engine.pool.available(), pages);
    }
}
