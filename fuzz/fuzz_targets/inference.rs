//! What the inference service reads of models: the parser that
//! `WEIGHBRIDGE_FUZZ_INFERENCE` names, with whatever the fuzzer makes up. It
//! must return.
#![no_main]

use std::io;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use weighbridge_engine::{Template, Text, TextFiles};
use weighbridge_import::{Input, Options, Sink, Source, import};
use weighbridge_inference_wire::{Chat, FromWorker, ToWorker};

const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[
    {"id":1,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
    {"id":2,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
    "model":{"type":"BPE","vocab":{"<s>":1,"</s>":2,"a":3},"merges":[]}}"#;
const CONFIG: &[u8] = include_bytes!("../../runtime/import/tests/fixtures/models/qwen2/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../runtime/import/tests/fixtures/models/qwen2/model.safetensors");

static PARSER: LazyLock<String> =
    LazyLock::new(|| std::env::var("WEIGHBRIDGE_FUZZ_INFERENCE").expect("WEIGHBRIDGE_FUZZ_INFERENCE names a parser"));
static TEXT: LazyLock<Text> = LazyLock::new(|| {
    let files = TextFiles { tokenizer: TOKENIZER.as_bytes(), config: None, generation: None };
    Text::load(&files, 4).expect("a small tokenizer")
});
static CHAT: LazyLock<Chat> = LazyLock::new(|| {
    let chat = json!({
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello </s>"}],
        "tools": [], "tool_choice": "auto", "template_variables": {"enable_thinking": false}
    });
    serde_json::from_value(chat).expect("a conversation")
});

/// Counts what an import writes.
struct Nowhere(usize);

impl Sink for Nowhere {
    fn append(&mut self, _file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.0 += bytes.len();
        assert!(self.0 < 1 << 30, "an import is larger than anything it was made of");
        Ok(())
    }
}

fn import_of(files: &[(&str, &[u8])]) {
    let source = files.iter().fold(Source::new(), |s, (name, bytes)| s.with(*name, Input::bytes(bytes.to_vec())));
    let _ = import(&source, &mut Nowhere(0), &Options::default());
}

fuzz_target!(|data: &[u8]| {
    match PARSER.as_str() {
        "import-gguf" => import_of(&[("model.gguf", data)]),
        "import-config" => import_of(&[
            ("config.json", data),
            ("model.safetensors", WEIGHTS),
            ("tokenizer.json", TOKENIZER.as_bytes()),
        ]),
        "import-safetensors" => import_of(&[
            ("config.json", CONFIG),
            ("model.safetensors", data),
            ("tokenizer.json", TOKENIZER.as_bytes()),
        ]),
        "import-tokenizer" => {
            let _ = Text::load(&TextFiles { tokenizer: data, config: None, generation: None }, 4096);
        }
        "template-render" => {
            let Ok(source) = std::str::from_utf8(data) else { return };
            if let Ok(Some(template)) = Template::load(Some(source), &TEXT) {
                let _ = template.render(&CHAT, &TEXT);
            }
        }
        "worker-message" => {
            let _ = (serde_json::from_slice::<FromWorker>(data), serde_json::from_slice::<ToWorker>(data));
        }
        other => panic!("there is no parser `{other}`"),
    }
});
