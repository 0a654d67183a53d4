use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::sample::{Random, Sampler, Scratch};
use crate::text::samples;

const VOCABULARY: usize = 460;

fn grammars() -> &'static (Arc<Text>, Grammars) {
    static ONCE: OnceLock<(Arc<Text>, Grammars)> = OnceLock::new();
    ONCE.get_or_init(|| {
        let text = Arc::new(samples::load(&samples::byte_level()));
        (Arc::clone(&text), Grammars::new(text, VOCABULARY))
    })
}

/// Text drawn at random from all that the constraint allows.
fn draw(constraint: &Constraint, seed: u64, most: usize) -> Option<String> {
    let (text, grammars) = grammars();
    let mut grammar = grammars.constrain(constraint).unwrap().unwrap();
    let mut random = Random::new(seed);
    let mut sampler = Sampler::new(&Default::default(), &Default::default(), VOCABULARY, seed).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..most {
        let logits: Vec<f32> = (0..VOCABULARY).map(|_| (random.uniform() * 4.0) as f32).collect();
        let token = sampler.draw(&logits, Some(grammar.mask().unwrap()), &[], &mut Scratch::default()).unwrap();
        if text.ends().contains(&token) {
            return Some(String::from_utf8(bytes).unwrap());
        }
        assert!(!text.is_special(token) && !text.bytes(token).is_empty(), "token {token}");
        bytes.extend_from_slice(text.bytes(token));
        if grammar.accept(token).unwrap() {
            return Some(String::from_utf8(bytes).unwrap());
        }
    }
    None
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
            "more": {"$ref": "#/$defs/flag"}
        },
        "required": ["name", "age", "tags", "more"],
        "additionalProperties": false,
        "$defs": {"flag": {"type": ["boolean", "null"]}}
    })
}

#[test]
fn ends_are_allowed_exactly_when_the_text_is_complete() {
    let (text, grammars) = grammars();
    let mut grammar = grammars.constrain(&Constraint::Regex("ab(cd)?".to_owned())).unwrap().unwrap();
    let allows_end = |grammar: &mut Grammar| {
        let mask = grammar.mask().unwrap().to_vec();
        text.ends().iter().any(|&end| mask[end as usize / 32] >> (end % 32) & 1 == 1)
    };
    let mut seen = String::new();
    for (next, complete) in [("a", false), ("b", true), ("c", false), ("d", true)] {
        assert!(!seen.is_empty() || !allows_end(&mut grammar));
        grammar.accept(text.token(next).unwrap()).unwrap();
        seen.push_str(next);
        assert_eq!(allows_end(&mut grammar), complete, "after {seen}");
    }
    assert!(grammar.accept(text.token("z").unwrap()).is_err(), "what the mask forbids is refused");
}

#[test]
fn whole_objects_and_expressions_and_grammars() {
    for seed in 0..20 {
        if let Some(said) = draw(&Constraint::Json, seed, 200) {
            // Not as a value: JSON allows numbers that no `f64` holds.
            assert!(
                serde_json::from_str::<serde::de::IgnoredAny>(&said).is_ok() && said.trim().starts_with('{'),
                "{said}"
            );
        }
        let said = draw(&Constraint::Regex("(yes|no)-[0-9]{2,4}".to_owned()), seed, 50).unwrap();
        let (word, digits) = said.split_once('-').unwrap();
        assert!(["yes", "no"].contains(&word) && (2..=4).contains(&digits.len()), "{said}");
        let said = draw(&Constraint::Grammar("start: \"<\" /[a-c]{1,5}/ \">\"".to_owned()), seed, 50).unwrap();
        assert!(said.starts_with('<') && said.ends_with('>') && said.len() <= 7, "{said}");
    }
}

#[test]
fn bombs_end_in_time_with_a_clear_failure_or_an_answer() {
    let deep = (0..2000).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    let wide: Value = (0..3000).map(|i| json!({"const": format!("x{i}{}", "y".repeat(50))})).collect();
    let everything: Value =
        (0..40).map(|i| (format!("p{i}"), json!({"type": "string"}))).collect::<serde_json::Map<_, _>>().into();
    let bombs = [
        Constraint::Schema(deep),
        Constraint::Schema(json!({"anyOf": wide})),
        Constraint::Schema(json!({"type": "string", "minLength": 1_000_000_000u64})),
        Constraint::Schema(json!({"type": "string", "pattern": "(a{1,1000}){1,1000}"})),
        Constraint::Schema(json!({"type": "string", "pattern": "(".repeat(100_000)})),
        Constraint::Schema(json!({"type": "array", "items": {}, "minItems": 1_000_000_000u64})),
        Constraint::Schema(json!({"$ref": "#"})),
        Constraint::Schema(
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        ),
        Constraint::Schema(json!({"$ref": "http://169.254.169.254/latest"})),
        Constraint::Schema(json!({"type": "object", "properties": everything, "minProperties": 20})),
        Constraint::Schema(json!({"type": "integer", "multipleOf": 1e-300, "minimum": -1e300})),
        Constraint::Schema(json!({"allOf": [{"type": "string"}, {"type": "integer"}]})),
        Constraint::Schema(json!(false)),
        Constraint::Schema(json!({"enum": []})),
        Constraint::Schema(json!({"type": "nonsense"})),
        Constraint::Schema(json!({"description": "x".repeat(1 << 20)})),
        Constraint::Regex("(a?){10000}a{10000}".to_owned()),
        Constraint::Regex("(x+x+)+y".to_owned()),
        Constraint::Regex("(.*)(.*)(.*)(.*)(.*)[^a]{500}".to_owned()),
        Constraint::Regex("\\".to_owned()),
        Constraint::Regex("[".repeat(1 << 20)),
        Constraint::Regex("\\p{L}{1,1000}\\p{N}{1,1000}~(a{1000})&.{5000}".to_owned()),
        Constraint::Grammar("start: start start | \"a\"".to_owned()),
        Constraint::Grammar("start: a\na: b\nb: a".to_owned()),
        Constraint::Grammar(format!("start: {}", "(".repeat(100_000))),
        Constraint::Grammar("start: /a/ undefined".to_owned()),
        Constraint::Grammar("%import \"/etc/passwd\"\nstart: \"a\"".to_owned()),
        Constraint::Grammar(String::new()),
        Constraint::Grammar(format!(
            "start: {}\n",
            (0..20_000).map(|i| format!("\"{i}\" | ")).collect::<String>() + "\"x\""
        )),
    ];
    let (text, grammars) = grammars();
    for bomb in &bombs {
        let started = Instant::now();
        match grammars.constrain(bomb) {
            Err(failure) => {
                assert_eq!(
                    (failure.kind, failure.field.as_deref()),
                    (FailureKind::Invalid, Some(FIELD)),
                    "{failure:?}"
                );
                assert!(failure.message.len() < 700, "{}", failure.message);
            }
            Ok(grammar) => {
                let mut grammar = grammar.unwrap();
                let mut sampler = Sampler::new(&Default::default(), &Default::default(), VOCABULARY, 1).unwrap();
                for _ in 0..50 {
                    let Ok(mask) = grammar.mask() else { break };
                    let token = sampler.draw(&[0.0; VOCABULARY], Some(mask), &[], &mut Scratch::default()).unwrap();
                    if text.ends().contains(&token) || grammar.accept(token).unwrap_or(true) {
                        break;
                    }
                }
            }
        }
        let shown: String = format!("{bomb:?}").chars().take(80).collect();
        assert!(started.elapsed() < Duration::from_secs(10), "{shown} took {:?}", started.elapsed());
    }
}

#[test]
fn a_vocabulary_without_ends_is_told_so() {
    let text = Arc::new(samples::load_with(&samples::sentence_piece(), &json!({})));
    if text.ends().is_empty() {
        let failure = Grammars::new(text, 700).constrain(&Constraint::Json).err().unwrap();
        assert_eq!(failure.kind, FailureKind::Unsupported);
    } else {
        // Its special tokens are known from other families.
        assert!(Grammars::new(text, 700).constrain(&Constraint::Json).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_a_schema_allows_fits_the_schema(seed in any::<u64>()) {
        let said = draw(&Constraint::Schema(person()), seed, 400);
        if let Some(said) = said {
            let value: Value = serde_json::from_str(&said).unwrap();
            prop_assert!(value["name"].as_str().unwrap().chars().count() <= 8);
            prop_assert!(value["age"].as_i64().unwrap() <= 150);
            prop_assert!(value["tags"].as_array().unwrap().iter().all(|tag| tag == "a" || tag == "b"));
            prop_assert!(value["more"].is_boolean() || value["more"].is_null());
            prop_assert_eq!(value.as_object().unwrap().len(), 4);
        }
    }
}
