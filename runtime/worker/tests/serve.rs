//! An imported model end to end: supervisor, confined worker, events.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{collect, generate, imported, options, parts, serve, submit, supervisor, until};
use futures::StreamExt;
use weighbridge_gateway::{ModelState, Work};
use weighbridge_inference_wire::{Embed, Event, FailureKind, PartRole};
use weighbridge_runtime::LoadError;

#[tokio::test(flavor = "multi_thread")]
async fn text_streams_and_is_the_same_twice() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let facts = model.facts().unwrap();
    assert!(facts.generates && facts.architecture == "qwen2" && facts.vocabulary == 203, "{facts:?}");
    assert_eq!((model.state(), facts.context_length, facts.quantization.as_str()), (ModelState::Ready, 256, "int8"));
    let (first, usage) = collect(submit(&model, generate("hello", 100))).await;
    let (second, _) = collect(submit(&model, generate("hello", 100))).await;
    assert_eq!(usage.unwrap().completion_tokens, 100);
    assert!(first[&0].len() > 50 && first == second, "{first:?} {second:?}");
    let (other, _) = collect(submit(&model, generate("world", 100))).await;
    assert_ne!(first, other);
    assert!(model.stats().unwrap().resident_bytes > 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_come_side_by_side() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let mut request = generate("hello", 40);
    request.choices = 3;
    request.sampling.temperature = Some(1.0);
    request.sampling.seed = Some(7);
    let (texts, usage) = collect(submit(&model, request.clone())).await;
    assert_eq!((texts.len(), usage.unwrap().completion_tokens), (3, 120));
    assert!(texts[&0] != texts[&1] && texts[&1] != texts[&2]);
    assert_eq!(collect(submit(&model, request)).await.0, texts, "the same seed");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_say_what_one_says() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let prompts: Vec<String> = (0..64).map(|n| format!("question {n} of many")).collect();
    let mut alone = Vec::new();
    for prompt in &prompts {
        alone.push(collect(submit(&model, generate(prompt, 30))).await.0);
    }
    let streams: Vec<_> = prompts.iter().map(|p| tokio::spawn(collect(submit(&model, generate(p, 30))))).collect();
    for (stream, alone) in streams.into_iter().zip(alone) {
        assert_eq!(stream.await.unwrap().0, alone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_events_frees_the_pages() {
    const REQUESTS: u64 = 200;
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    // More than is written before anybody notices that they are dropped.
    let requests = (0..REQUESTS).map(|n| {
        let mut request = generate(&format!("number {n}"), 200);
        // Fewer events than wait for a slow reader.
        request.choices = 2;
        submit(&model, request)
    });
    let mut streams: Vec<_> = requests.collect();
    assert!(matches!(streams[0].next().await, Some(Event::Text { .. })));
    drop(streams);
    until("figures are there", || model.stats().unwrap().completion_tokens > 0).await;
    until("pages are free", || {
        let stats = model.stats().unwrap();
        stats.pages_used == 0 && stats.running == 0 && stats.waiting == 0
    })
    .await;
    assert_eq!(model.in_flight(), 0);
    assert!(model.stats().unwrap().completion_tokens < REQUESTS * 2 * 200, "it was cancelled, not finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_fit_are_refused_in_words() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let failure = collect(submit(&model, generate(&"long ".repeat(200), 5))).await.1.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooLong, "{failure:?}");
    let embed =
        Work::Embed(Embed { texts: vec!["a".to_owned()], tokens: Vec::new(), dimensions: None, truncate: false });
    let failure = collect(model.submit(embed).unwrap()).await.1.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unsupported, "{failure:?}");
    let huge = generate(&"x".repeat(80 << 20), 5);
    let failure = collect(submit(&model, huge)).await.1.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid, "{failure:?}");
    assert!(collect(submit(&model, generate("hello", 5))).await.1.is_ok(), "and goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_read_holds_up_nobody() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let mut request = generate("quiet", 200);
    request.choices = 128;
    let unread = submit(&model, request);
    let begun = Instant::now();
    assert!(collect(submit(&model, generate("hello", 20))).await.1.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(20));
    until("the other was cut off", || model.in_flight() == 0).await;
    let failure = collect(unread).await.1.unwrap_err();
    assert!(failure.message.contains("not read as fast"), "{failure:?}");
}

#[test]
fn bytes_that_nobody_approved_are_refused_by_name() {
    let Some(supervisor) = supervisor() else { return };
    let model = imported();
    // Without the sources' approval.
    let refused = supervisor.load(common::approved("m", &[common::digest(b"other")]), parts(&model.files), options());
    assert!(matches!(refused.err(), Some(LoadError::NotApproved { .. })));
    // A part that is not as the manifest lists it.
    let mut swapped = imported();
    let weights = swapped.files.iter_mut().find(|f| f.0 == PartRole::Data).unwrap();
    weights.2[100] ^= 1;
    let refused = supervisor.load(common::approved("m", &model.sources), parts(&swapped.files), options());
    assert!(refused.err().unwrap().to_string().contains("`model.onnx.data` is not as its manifest lists it"));
    // A part that is not what the caller takes it for.
    let mut mistaken = parts(&model.files);
    mistaken[0].sha256 = common::digest(b"other");
    let (name, refused) =
        (mistaken[0].name.clone(), supervisor.load(common::approved("m", &model.sources), mistaken, options()));
    assert!(refused.err().unwrap().to_string().starts_with(&format!("`{name}` has the digest")));
    // Another manifest than at import.
    let noted = weighbridge_runtime::Options { manifest: Some(common::digest(b"other")), ..options() };
    let refused = supervisor.load(common::approved("m", &model.sources), parts(&model.files), noted);
    assert!(refused.err().unwrap().to_string().contains("not the one that was written at import"));
    assert!(supervisor.list().is_empty());
}

#[test]
fn what_does_not_fit_the_machine_is_refused_with_numbers() {
    let Some(supervisor) = supervisor() else { return };
    let model = imported();
    let options = weighbridge_runtime::Options { cache_bytes: 1 << 50, ..options() };
    let refused = supervisor.load(common::approved("m", &model.sources), parts(&model.files), options).err().unwrap();
    assert!(refused.to_string().contains("`m` needs 1073742"), "{refused}");
}

#[test]
fn a_name_is_taken_once_and_the_number_of_models_is_bounded() {
    let Some(library) = common::library() else { return };
    let worker = weighbridge_runtime::WorkerCommand {
        program: env!("CARGO_BIN_EXE_model-worker").into(),
        arguments: vec![library.into()],
    };
    let supervisor = weighbridge_runtime::Supervisor::new(weighbridge_runtime::Settings {
        models_max: 1,
        ..weighbridge_runtime::Settings::new(worker)
    });
    let model = imported();
    serve(&supervisor, &model, "one");
    let load = |name: &str| supervisor.load(common::approved(name, &model.sources), parts(&model.files), options());
    assert!(matches!(load("one").err(), Some(LoadError::Exists(_))));
    assert!(matches!(load("two").err(), Some(LoadError::Full(1))));
    assert!(supervisor.unload("one") && !supervisor.unload("one"));
    assert!(load("two").is_ok());
}
