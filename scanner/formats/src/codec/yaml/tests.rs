use serde_json::json;
use weighbridge_types::Verdict;

use super::{Document, parse_text, text};
use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn inspected(source: &str) -> Outcome {
    inspect_bytes("model_config.yaml", source.as_bytes())
}

fn parsed(source: &str) -> Document {
    parse_text(source)
}

#[test]
fn scalars_are_read_as_pyyaml_reads_them() {
    let doc = parsed("a: 1\nb: yes\nc: '1'\nd: ~\ne: 1.5\nf: !!str 7\ng: text\n");
    assert_eq!(doc.first(), &json!({"a": 1, "b": true, "c": "1", "d": null, "e": 1.5, "f": "7", "g": "text"}));
}

#[test]
fn the_last_duplicate_wins_and_the_first_is_kept_aside() {
    let doc = parsed("m: {_target_: torch.nn.Linear, _target_: os.system}\n");
    assert_eq!(doc.first(), &json!({"m": {"_target_": "os.system"}}));
    assert_eq!(doc.duplicates, vec![("m._target_".to_owned(), json!("torch.nn.Linear"))]);
}

#[test]
fn aliases_of_scalars_are_followed_and_those_of_collections_are_not() {
    let doc = parsed("- &k _target_\n- &v os.system\n- {*k : *v}\n- &c [1]\n- *c\n");
    assert_eq!(doc.first(), &json!(["_target_", "os.system", {"_target_": "os.system"}, [1], null]));
}

#[test]
fn tags_are_given_in_full_whatever_their_spelling() {
    for source in [
        "!!python/object/apply:os.system [id]",
        "!<tag:yaml.org,2002:python/object/apply:os.system> [id]",
        "%TAG !p! tag:yaml.org,2002:python/\n---\n!p!object/apply:os.system [id]",
        "!!python/object/apply:os%2Esystem [id]",
    ] {
        let doc = parsed(source);
        assert_eq!(
            doc.tags.first().map(|t| t.tag.as_str()),
            Some("tag:yaml.org,2002:python/object/apply:os.system"),
            "{source}"
        );
    }
}

#[test]
fn continuation_lines_are_read_at_any_column_as_pyyaml_reads_them() {
    let doc = parsed("a:\n  b: \"dict(\n    x,\n )\"\n  c: 'it''s\n\n 1'\n  d: [\n 1,\n  2\n]\n  e: {\nx: y\n}\n");
    assert!(doc.stopped.is_none(), "{:?}", doc.stopped);
    assert_eq!(doc.first(), &json!({"a": {"b": "dict( x, )", "c": "it's\n1", "d": [1, 2], "e": {"x": "y"}}}));
    let hidden = "a:\n  b: \"x\n y\"\n  c:\n    ? _target_\n    : os.system\n";
    assert_eq!(verdict(&inspected(hidden)), Verdict::Malicious);
}

#[test]
fn lines_that_cannot_be_mended_end_within_bounds() {
    let doc = parsed(&format!("a:\n  b: [\n{}", "1,\n".repeat(50_000)));
    assert!(doc.stopped.is_some());
}

#[test]
fn python_tags_that_call_are_malicious() {
    for source in [
        "a: !!python/object/apply:os.system ['touch /tmp/marker']\n",
        "a: !!python/object/new:type\n  args: ['z', !!python/tuple [], {extend: !!python/name:exec }]\n  listitems: \"__import__('os').system('true')\"\n",
        "a: !!python/object/apply:subprocess.Popen\n- [touch, /tmp/marker]\n",
        "x: 1\nbroken: [\n: : !!python/object/apply:os.system [id]\n",
        "a: !apply:os.system [id]\n",
        "a: !!javax.script.ScriptEngineManager [x]\n",
        "a: !ruby/object:Gem::Installer\n  i: x\n",
    ] {
        let outcome = inspected(source);
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{source}: {:?}", outcome.findings);
    }
}

#[test]
fn tags_of_honest_files_are_clean() {
    for source in [
        "policy: !!python/object/apply:collections.OrderedDict\n- - [batch_size, 64]\n  - [n_steps, 2048]\n",
        "a: !!python/tuple [1, 2]\nb: !!set {x, y}\nc: !!binary aGk=\n",
        "f: !!python/name:pymdownx.superfences.fence_code_format\n",
        "lin: !new:torch.nn.Linear\n  in_features: !ref <n>\nseed: !apply:torch.manual_seed [!ref <seed>]\n",
        "r: !Ref Bucket\ns: !secret key\n",
    ] {
        let outcome = inspected(source);
        assert_eq!(verdict(&outcome), Verdict::Clean, "{source}: {:?}", outcome.findings);
    }
    let outcome = inspected("a: !!python/object:options.TrainOptions\n  x: 1\n");
    assert_eq!(rules(&outcome), ["yaml-object-tag"]);
}

#[test]
fn an_alias_bomb_is_counted_not_expanded() {
    let mut source = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let refs = vec![format!("*a{}", n - 1); 10].join(", ");
        source.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
    }
    let outcome = inspected(&source);
    assert_eq!(rules(&outcome), ["yaml-alias-bomb"]);
    let honest = format!("base: &b {{a: 1}}\n{}", (0..100).map(|n| format!("k{n}: *b\n")).collect::<String>());
    assert_eq!(verdict(&inspected(&honest)), Verdict::Clean);
}

#[test]
fn depth_size_and_encodings_are_bounded() {
    for source in ["[".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000), "{a: ".repeat(5_000)] {
        assert_eq!(verdict(&inspected(&source)), Verdict::Unknown);
    }
    assert_eq!(verdict(&inspect_bytes("model_config.yaml", &vec![b'a'; 3 << 20])), Verdict::Unknown);
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("a: !!python/object/apply:os.system [id]\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    assert_eq!(verdict(&inspect_bytes("model_config.yaml", &utf16)), Verdict::Malicious);
    assert_eq!(text(b"\xfe\xff\0a\0b"), "ab");
}

#[test]
fn damaged_documents_do_not_break_the_parser() {
    survives_damage(
        "model_config.yaml",
        b"%YAML 1.1\n---\na: &x [1, {b: *x}]\n? [k]\n: |\n  text\n  more\nc: !!python/tuple [a, \"\\x41\"]\n...\n---\n- >-\n   folded\n",
    );
}
