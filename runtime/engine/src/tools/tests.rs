use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::answer::{Answer, Said, Split, Stops};
use crate::constrain::Grammars;
use crate::sample::{Random, Sampler, Scratch};
use crate::text::{Detokenizer, samples};

fn tool(name: &str, parameters: Option<Value>) -> Tool {
    Tool { name: name.to_owned(), description: None, parameters }
}

fn offered() -> Vec<Tool> {
    let city = json!({
        "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["city", "days"], "additionalProperties": false,
        "$defs": {"city": {"enum": ["Bonn", "Trier \"old\""]}}
    });
    vec![
        tool("get_weather", Some(city)),
        tool("stop", Some(json!({"type": "object", "properties": {}, "additionalProperties": false}))),
    ]
}

#[test]
fn formats_are_told_by_their_marks() {
    let of = CallFormat::of_template;
    assert_eq!(of("{% if tools %}<tool_call>{% endif %}"), Some(CallFormat::Hermes));
    assert_eq!(of("{{ tools }}[TOOL_CALLS]"), Some(CallFormat::Mistral));
    assert_eq!(of("tool <|python_tag|>"), Some(CallFormat::Llama));
    assert_eq!(of("{{ tools }} ipython parameters"), Some(CallFormat::Llama));
    assert_eq!(of("<|tool_call|> tools"), Some(CallFormat::Phi));
    assert_eq!(of("{{ messages }}"), None);
}

#[test]
fn arguments_may_be_an_object_or_its_text() {
    let calls = |text| parse_calls(CallFormat::Hermes, text);
    let one = |arguments: &str| Some(vec![("f".to_owned(), arguments.to_owned())]);
    assert_eq!(calls("{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}"), one("{\"a\":1}"));
    assert_eq!(calls("{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{}}}"), one("{}"));
    for broken in ["", "[]", "{}", "{\"name\":\"\"}", "{\"name\":\"f\",\"arguments\":3}", "{\"name\":\"f\"} x", "null"]
    {
        assert_eq!(calls(broken), None, "{broken}");
    }
    let many = "{\"name\":\"f\"}".repeat(1000);
    assert_eq!(calls(&many), None, "a flood of calls is none");
    assert_eq!(calls(&"[".repeat(100_000)), None);
}

#[test]
fn tools_are_checked_by_field() {
    let field = |tools: &[Tool], choice: ToolChoice| check(tools, &choice).unwrap_err().field.unwrap();
    assert_eq!(field(&[tool("a b", None)], ToolChoice::Auto), "tools");
    assert_eq!(field(&[tool("", None)], ToolChoice::Auto), "tools");
    assert_eq!(field(&vec![tool("a", None); 200], ToolChoice::Auto), "tools");
    assert_eq!(field(&[], ToolChoice::Required), "tool_choice");
    assert_eq!(field(&[tool("a", None)], ToolChoice::Named("b".into())), "tool_choice");
    assert!(check(&[tool("a-b_C.1", None)], &ToolChoice::Named("a-b_C.1".into())).is_ok());
}

#[test]
fn forced_calls_are_calls_in_every_format() {
    let file = samples::byte_level();
    let text = Arc::new(samples::load(&file));
    let grammars = Grammars::new(Arc::clone(&text), 450);
    let tools = offered();
    let schemas: Vec<&Value> = tools.iter().filter_map(|tool| tool.parameters.as_ref()).collect();
    for format in [CallFormat::Hermes, CallFormat::Llama, CallFormat::Mistral, CallFormat::Phi] {
        for only in [None, Some("get_weather")] {
            let source = grammar(format, &tools, only, &text);
            let mut complete = 0;
            for seed in 0..6 {
                let mut grammar = grammars.lark(source.clone(), &schemas, "tools").unwrap();
                let calls = forced(&text, format, &mut grammar, seed);
                let Some(calls) = calls else { continue };
                complete += 1;
                assert!(!calls.is_empty());
                assert!(only.is_none() || calls.len() == 1);
                for (name, arguments) in calls {
                    let arguments: Value = serde_json::from_str(&arguments).unwrap();
                    if name == "get_weather" {
                        assert!(
                            ["Bonn", "Trier \"old\""].contains(&arguments["city"].as_str().unwrap()),
                            "{arguments}"
                        );
                        assert!((1..=9).contains(&arguments["days"].as_i64().unwrap()));
                    } else {
                        assert_eq!((name.as_str(), arguments), ("stop", json!({})));
                        assert_eq!(only, None);
                    }
                }
            }
            assert!(complete >= 2, "{format:?} {only:?}");
        }
    }
}

/// Calls of an answer drawn at random within its grammar.
fn forced(
    text: &Text,
    format: CallFormat,
    grammar: &mut crate::constrain::Grammar,
    seed: u64,
) -> Option<Vec<(String, String)>> {
    let mut random = Random::new(seed);
    let mut sampler = Sampler::new(&Default::default(), &Default::default(), 450, seed).unwrap();
    let mut answer = Answer::new(Stops::default(), Split::new(false, false, Some(format)));
    let mut detokenizer = Detokenizer::new(text, false, &format.marks(text));
    let mut said = Vec::new();
    let mut complete = false;
    for _ in 0..300 {
        // Ends are likely, so that several calls come to one.
        let logits: Vec<f32> = (0u32..450)
            .map(|token| if text.ends().contains(&token) { 9.0 } else { (random.uniform() * 3.0) as f32 })
            .collect();
        let token = sampler.draw(&logits, Some(grammar.mask().unwrap()), &[], &mut Scratch::default()).unwrap();
        complete = text.ends().contains(&token) || grammar.accept(token).unwrap();
        if !text.ends().contains(&token) {
            answer.push(&detokenizer.push(text, token), &mut said);
        }
        if complete {
            break;
        }
    }
    if !complete {
        return None;
    }
    answer.finish(&mut said);
    let calls = said.into_iter().map(|part| match part {
        Said::Call(call) => (call.name, call.arguments),
        other => panic!("{other:?}"),
    });
    Some(calls.collect())
}
