//! Whole requests with a model that says what it is told to.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use weighbridge_inference_wire::{
    Call, Chat, Constraint, FinishReason, Message, Prompt, Sampling, Tool, ToolCall, ToolChoice, Usage,
};

use super::*;
use crate::template::Template;
use crate::text::samples;

const VOCABULARY: usize = 450;

/// Wants to say these tokens one by one, then to end; what it may not say, it
/// says by the number of the token.
struct Script {
    tokens: Vec<u32>,
    said: usize,
    row: Vec<f32>,
}

impl LanguageModel for Script {
    fn shape(&self) -> Shape {
        Shape { vocabulary: VOCABULARY, context_length: 4096, page_tokens: 32, pages: 128, shares_pages: true }
    }

    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError> {
        self.row.clear();
        for _ in batch.logit_rows {
            let from = self.row.len();
            self.row.extend((0u16..450).map(|token| -f32::from(token)));
            let wanted = self.tokens.get(self.said).copied().unwrap_or(END);
            self.row[from + wanted as usize] = 10.0;
            self.said += 1;
        }
        Ok(&self.row)
    }
}

/// `<|im_end|>` of the samples.
const END: u32 = 2;

const THINKING: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                        {% if tools %}<tool_call>{{ tools | tojson }}{% endif %}<|im_start|>assistant\n<think>\n";
const PLAIN: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                     {% if tools %}<tool_call>{{ tools | tojson }}{% endif %}<|im_start|>assistant\n";

#[derive(Debug, Default)]
struct Heard {
    text: String,
    thought: String,
    calls: Vec<Call>,
    events: usize,
    reason: Option<FinishReason>,
    usage: Usage,
    failure: Option<Failure>,
}

fn run(template: &str, script: &str, change: impl FnOnce(&mut Generate, &mut Chat)) -> Heard {
    let text = Arc::new(samples::load(&samples::byte_level()));
    let tokens = text.encode(script, false).unwrap();
    let template = Template::load(Some(template), &text).unwrap();
    let model = Script { tokens, said: 0, row: Vec::new() };
    let prepare = Arc::new(Prepare::new(Arc::clone(&text), template, model.shape(), None));
    let mut chat = Chat {
        messages: vec![Message {
            role: "user".into(),
            content: "hi".into(),
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }],
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        template_variables: serde_json::Map::new(),
    };
    let mut request = Generate {
        prompt: Prompt::Text(String::new()),
        max_tokens: Some(600),
        choices: 1,
        stop: Vec::new(),
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        constraint: Constraint::Free,
        logprobs: None,
        ignore_end: false,
        scope: 0,
    };
    change(&mut request, &mut chat);
    request.prompt = Prompt::Chat(chat);
    let heard = Rc::new(RefCell::new(Heard::default()));
    let ears = Rc::clone(&heard);
    let mut engine = Engine::new(model, prepare, Limits::default(), move |_, event| {
        let mut heard = ears.borrow_mut();
        heard.events += 1;
        match event {
            Event::Text { text, thought: true, .. } => heard.thought.push_str(&text),
            Event::Text { text, .. } => heard.text.push_str(&text),
            Event::Call { call, .. } => heard.calls.push(call),
            Event::Finished { reason, .. } => heard.reason = Some(reason),
            Event::Done { usage } => heard.usage = usage,
            Event::Failed { failure } => heard.failure = Some(failure),
            other => panic!("{other:?}"),
        }
    });
    engine.submit(1, request);
    while engine.step() {}
    assert_eq!(engine.stats().pages_used, 0);
    heard.take()
}

fn weather() -> Vec<Tool> {
    let parameters = json!({"type": "object", "properties": {"city": {"enum": ["Bonn"]}}, "required": ["city"], "additionalProperties": false});
    vec![Tool { name: "weather".into(), description: None, parameters: Some(parameters) }]
}

#[test]
fn an_answer_streams_and_stops() {
    let heard = run(PLAIN, "Hello world, é🙂.", |_, _| {});
    assert_eq!((heard.text.as_str(), heard.reason), ("Hello world, é🙂.", Some(FinishReason::Stop)));
    assert!(heard.events > 6, "token by token");
    let heard = run(PLAIN, "one STOP two", |request, _| request.stop = vec!["STOP".into()]);
    assert_eq!((heard.text.as_str(), heard.reason), ("one ", Some(FinishReason::Stop)));
    let heard = run(PLAIN, "one two three four five", |request, _| request.max_tokens = Some(2));
    assert_eq!((heard.usage.completion_tokens, heard.reason), (2, Some(FinishReason::Length)));
}

#[test]
fn thoughts_are_marked_and_counted() {
    let heard = run(THINKING, "I think so.\n</think>\n\nYes.", |_, _| {});
    assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("I think so.\n", "Yes."));
    assert!(heard.usage.thought_tokens > 3 && heard.usage.thought_tokens < heard.usage.completion_tokens);
    let raw = run(PLAIN, "no </think> here", |_, _| {});
    assert_eq!(raw.text, "no </think> here");
}

#[test]
fn a_constraint_waits_for_the_thought_to_end() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let heard = run(THINKING, "Any text.</think>{\"a\": 12}", |request, _| {
        request.constraint = Constraint::Schema(schema.clone())
    });
    assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Any text.", "{\"a\": 12}"));
    assert_eq!(heard.reason, Some(FinishReason::Stop));
    // It would rather say something else.
    let heard = run(PLAIN, "Certainly! Here you are.", |request, _| request.constraint = Constraint::Schema(schema));
    if heard.reason == Some(FinishReason::Stop) {
        let number = serde_json::from_str::<Value>(&heard.text).unwrap()["a"].as_f64();
        assert_eq!(number.unwrap().fract(), 0.0, "{}", heard.text);
    } else {
        assert!(heard.text.trim_start().starts_with('{'), "{}", heard.text);
    }
}

#[test]
fn calls_are_heard_as_calls() {
    let script = "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}\n</tool_call>";
    let heard = run(PLAIN, script, |_, chat| chat.tools = weather());
    assert_eq!(heard.text, "Let me see.\n");
    assert_eq!(heard.calls, [Call { index: 0, name: "weather".into(), arguments: "{\"city\":\"Bonn\"}".into() }]);
    assert_eq!(heard.reason, Some(FinishReason::Calls));
    let none = run(PLAIN, script, |_, chat| (chat.tools, chat.tool_choice) = (weather(), ToolChoice::None));
    assert_eq!((none.text.as_str(), none.reason), (script, Some(FinishReason::Stop)));
}

#[test]
fn chances_of_calls_are_not_kept() {
    let text = Arc::new(samples::load(&samples::byte_level()));
    let script = format!("Hi <tool_call>{{\"name\": \"{}\"}}", "w".repeat(300));
    let tokens = text.encode(&script, false).unwrap();
    let template = Template::load(Some(PLAIN), &text).unwrap();
    let model = Script { tokens, said: 0, row: Vec::new() };
    let prepare = Arc::new(Prepare::new(Arc::clone(&text), template, model.shape(), None));
    let mut engine = Engine::new(model, prepare, Limits::default(), |_, _| {});
    let message =
        Message { role: "user".into(), content: "hi".into(), name: None, tool_calls: Vec::new(), tool_call_id: None };
    let chat = Chat {
        messages: vec![message],
        tools: weather(),
        tool_choice: ToolChoice::Auto,
        template_variables: serde_json::Map::new(),
    };
    engine.submit(
        1,
        Generate {
            prompt: Prompt::Chat(chat),
            max_tokens: Some(200),
            choices: 1,
            stop: Vec::new(),
            sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
            constraint: Constraint::Free,
            logprobs: Some(5),
            ignore_end: false,
            scope: 0,
        },
    );
    let (mut most, mut steps) = (0, 0);
    while engine.step() {
        steps += 1;
        most = most.max(engine.running.iter().map(|one| one.chances.len()).max().unwrap_or(0));
    }
    assert!(steps > 50 && most < 20, "{most} chances were held in {steps} steps");
}

#[test]
fn a_grammar_begins_with_the_end_of_the_thought_whatever_stops_the_answer() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let heard = run(THINKING, "Any text.</think>Certainly! Here you are.", |request, _| {
        request.constraint = Constraint::Schema(schema.clone());
        request.stop = vec![">Certainly! No".into(), "</think>!".into()];
    });
    assert!(heard.text.trim_start().starts_with('{'), "{}", heard.text);
}

#[test]
fn a_forced_call_is_made_whatever_the_model_wants() {
    for choice in [ToolChoice::Required, ToolChoice::Named("weather".into())] {
        let heard = run(PLAIN, "I would rather talk.", |_, chat| (chat.tools, chat.tool_choice) = (weather(), choice));
        assert_eq!(heard.failure, None);
        assert_eq!(heard.reason, Some(FinishReason::Calls), "{heard:?}");
        assert_eq!(heard.text.trim(), "");
        assert!(heard.calls.iter().all(|call| call.name == "weather" && call.arguments == "{\"city\":\"Bonn\"}"));
    }
    let heard = run("{{ messages[0].content }}", "x", |_, chat| {
        (chat.tools, chat.tool_choice) = (weather(), ToolChoice::Required)
    });
    assert_eq!(heard.failure.unwrap().kind, FailureKind::Unsupported);
}

#[test]
fn hostile_requests_end_in_failures_by_field() {
    let deep = (0..500).fold(json!({}), |inner, _| json!({"items": inner}));
    let heard = run(PLAIN, "x", |request, _| request.constraint = Constraint::Schema(deep.clone()));
    assert_eq!(heard.failure.unwrap().field.as_deref(), Some("response_format"));
    let heard = run(PLAIN, "x", |_, chat| {
        chat.tools = vec![Tool { name: "f".into(), description: None, parameters: Some(deep) }];
        chat.tool_choice = ToolChoice::Required;
    });
    assert_eq!(heard.failure.unwrap().field.as_deref(), Some("tools"));
    let deep = (0..500).fold(json!({}), |inner, _| json!([inner]));
    let heard = run(PLAIN, "x", |_, chat| {
        chat.template_variables.insert("x".into(), deep.clone());
    });
    assert_eq!(heard.failure.unwrap().kind, FailureKind::Invalid);
    let heard = run(PLAIN, "x", |_, chat| {
        let call = ToolCall { id: "1".into(), name: "f".into(), arguments: deep };
        chat.messages[0].tool_calls.push(call);
    });
    assert_eq!(heard.failure.unwrap().field.as_deref(), Some("messages"));
    let heard = run(PLAIN, "x", |_, chat| chat.messages[0].content = "x".repeat(8 << 20));
    assert_eq!(heard.failure.unwrap().kind, FailureKind::TooLong);
    // Every string of the conversation counts, wherever it is.
    let long = || "x".repeat(2 << 20);
    let tool = || Tool { name: "f".into(), description: None, parameters: None };
    let places: [&dyn Fn(&mut Chat); 5] = [
        &|chat| chat.messages[0].name = Some(long()),
        &|chat| chat.tools = vec![Tool { description: Some(long()), ..tool() }],
        &|chat| chat.tools = vec![Tool { parameters: Some(json!({"description": long()})), ..tool() }],
        &|chat| chat.template_variables = json!({"x": [long()]}).as_object().unwrap().clone(),
        &|chat| {
            let call = ToolCall { id: "1".into(), name: "f".into(), arguments: json!({ long(): 1 }) };
            chat.messages[0].tool_calls.push(call);
        },
    ];
    for place in places {
        let heard = run("{{ messages[0].content }}", "x", |_, chat| place(chat));
        assert_eq!(heard.failure.unwrap().kind, FailureKind::TooLong);
    }
    let heard = run("{{ raise_exception('only in pairs') }}", "x", |_, _| {});
    let failure = heard.failure.unwrap();
    assert_eq!((failure.kind, failure.field.as_deref()), (FailureKind::Invalid, Some("messages")));
}
