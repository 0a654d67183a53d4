//! `__metadata__`: a map of strings. Loaders ignore it, other programs do
//! not, so configuration and code in it are looked at.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::codec::jinja;
use crate::core::{Input, Inspection};
use crate::formats::safetensors::rules;

/// Longest value kept as a fact, bytes.
const VALUE_KEPT_MAX: usize = 4096;
/// Most values kept.
const VALUES_KEPT_MAX: usize = 128;
/// Longest template inspected, bytes.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Bytes decoded out of one file before the last payload.
const PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// Most payloads decoded out of one file.
const PAYLOADS_MAX: usize = 8;
/// Most findings of a kind.
const HITS_MAX: usize = 8;
/// Shortest text that could hold an encoded payload.
const PAYLOAD_CHARS_MIN: usize = 16;

/// The map, as far as it is of use.
#[derive(Default)]
pub struct Metadata {
    /// Short values by key.
    pub values: BTreeMap<String, String>,
    /// What some values hold that they should not.
    pub hits: Hits,
}

/// Findings that wait for the parse to end.
#[derive(Default)]
pub struct Hits {
    targets: Vec<(bool, String)>,
    code: Vec<String>,
    payloads: Vec<(String, Vec<u8>)>,
    templates: Vec<(String, String)>,
}

impl Hits {
    /// Reports them.
    pub fn report(self, ctx: &mut Inspection<'_>) {
        for (dangerous, detail) in self.targets {
            ctx.find(if dangerous { &rules::TARGET } else { &rules::TARGET_NOTED }, None, detail);
        }
        for detail in self.code {
            ctx.find(&rules::CODE_IN_METADATA, None, detail);
        }
        for (key, template) in self.templates {
            jinja::inspect(ctx, &template, &format!("__metadata__.{key}"));
        }
        for (key, payload) in self.payloads {
            ctx.find(&rules::PAYLOAD_IN_METADATA, None, format!("`{key}` holds {} encoded bytes", payload.len()));
            ctx.child(&format!("__metadata__.{key}"), &Input::bytes(payload));
        }
    }
}

impl Metadata {
    fn entry(&mut self, key: String, value: &str) {
        self.look(&key, value);
        if value.len() <= VALUE_KEPT_MAX && self.values.len() < VALUES_KEPT_MAX {
            self.values.insert(key, value.to_owned());
        }
    }

    fn look(&mut self, key: &str, value: &str) {
        let hits = &mut self.hits;
        for target in targets(value).take(64) {
            let dangerous = is_dangerous(&target);
            if hits.targets.len() < HITS_MAX || dangerous && hits.targets.len() < 2 * HITS_MAX {
                hits.targets.push((dangerous, format!("`{key}` names `_target_: {target}`")));
            }
        }
        if let Some(code) = CODE.iter().find(|code| value.contains(**code))
            && hits.code.len() < HITS_MAX
        {
            hits.code.push(format!("`{key}` holds `{code}`"));
        }
        if key.contains("chat_template") && value.len() <= TEMPLATE_BYTES_MAX && hits.templates.len() < HITS_MAX {
            hits.templates.push((key.to_owned(), value.to_owned()));
        }
        let decoded: usize = hits.payloads.iter().map(|(_, payload)| payload.len()).sum();
        if hits.payloads.len() < PAYLOADS_MAX
            && decoded < PAYLOAD_BYTES_MAX
            && let Some(payload) = payload(value)
        {
            hits.payloads.push((key.to_owned(), payload));
        }
    }
}

/// Code that has no place in metadata.
const CODE: &[&str] = &[
    "__import__(",
    "os.system(",
    "os.popen(",
    "os.exec",
    "subprocess.Popen(",
    "subprocess.run(",
    "subprocess.call(",
    "subprocess.check_output(",
    "builtins.exec",
    "builtins.eval",
    "eval(compile(",
    "exec(compile(",
    "exec(base64",
    "pickle.loads(",
    "marshal.loads(",
    "__reduce__",
    "__globals__",
    "__subclasses__",
    "<script",
    "powershell -e",
    "/bin/sh -c",
    "bash -c ",
    "bash -i >&",
    "/dev/tcp/",
];

/// Values of `_target_` in JSON or YAML text.
fn targets(value: &str) -> impl Iterator<Item = String> {
    memchr::memmem::find_iter(value.as_bytes(), b"_target_").filter_map(|at| {
        let rest = value.get(at + "_target_".len()..)?;
        let rest = rest.trim_start_matches(['\\', '"', '\'']).trim_start().strip_prefix([':', '='])?;
        let rest = rest.trim_start().trim_start_matches(['\\', '"', '\'']);
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '_' | ':')).unwrap_or(rest.len());
        let target = rest.get(..end.min(200))?;
        (!target.is_empty()).then(|| target.to_owned())
    })
}

/// Whether Hydra's `instantiate` of `target` runs code or touches files.
fn is_dangerous(target: &str) -> bool {
    const MODULES: &str = "os posix nt subprocess builtins __builtin__ __builtins__ sys shutil pty socket importlib runpy pickle \
        _pickle cPickle marshal ctypes code codeop webbrowser urllib urllib2 requests http ftplib smtplib \
        telnetlib commands multiprocessing pip pydoc timeit cProfile profile bdb pdb trace tempfile asyncio dill \
        cloudpickle joblib shelve zipimport threading signal _posixsubprocess distutils setuptools idlelib uuid";
    const FUNCTIONS: &str = "torch.load torch.hub.load torch.hub.load_state_dict_from_url torch.jit.load torch.serialization.load \
        numpy.load numpy.loads pandas.read_pickle pandas.eval numpy.testing._private.utils.runstring \
        platform.popen hydra.utils.call hydra.utils.instantiate hydra.utils.get_method operator.methodcaller \
        torch.package.PackageImporter yaml.load yaml.unsafe_load pathlib.Path.write_text pathlib.Path.unlink";
    let root = target.split(['.', ':']).next().unwrap_or_default();
    MODULES.split(' ').any(|module| module == root)
        || FUNCTIONS.split(' ').any(|function| function == target)
        || target
            .split('.')
            .any(|part| matches!(part, "__globals__" | "__builtins__" | "system" | "popen" | "Popen" | "eval" | "exec"))
}

/// A pickle, archive or program in base64 or hexadecimal.
fn payload(value: &str) -> Option<Vec<u8>> {
    let text = value.trim();
    if text.len() < PAYLOAD_CHARS_MIN || text.starts_with("data:image/") {
        return None;
    }
    let text = text.strip_prefix("data:").and_then(|t| t.split_once(";base64,")).map_or(text, |(_, body)| body);
    // A look at the start decides before megabytes are decoded.
    let start = text.get(..PAYLOAD_CHARS_MIN)?;
    let head = STANDARD.decode(start).or_else(|_| URL_SAFE.decode(start)).ok();
    if head.is_some_and(|h| is_payload(&h)) {
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace() && *c != '=').collect();
        let whole = compact.get(..compact.len() / 4 * 4)?;
        return STANDARD.decode(whole).or_else(|_| URL_SAFE.decode(whole)).ok();
    }
    let hex = |part: &str| -> Option<Vec<u8>> {
        part.as_bytes()
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    };
    hex(start).filter(|h| is_payload(h)).and_then(|_| hex(text))
}

fn is_payload(head: &[u8]) -> bool {
    matches!(
        head,
        [0x80, 2 | 3, b'c' | b'}' | b']' | b'(' | b'X' | b'K' | b'C' | b'q', ..]
            | [0x80, 4 | 5, 0x95 | b'c' | 0x8c, ..]
            | [b'P', b'K', 3, 4, ..]
            | [0x7f, b'E', b'L', b'F', ..]
            | [b'M', b'Z', 0x90, 0, ..]
            | [0x1f, 0x8b, 8, ..]
    ) || head.starts_with(b"cos\nsystem")
        || head.starts_with(b"cposix\nsystem".get(..12).unwrap_or_default())
}

impl<'de> DeserializeSeed<'de> for &mut Metadata {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for &mut Metadata {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }
    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let value: String = map.next_value()?;
            self.entry(key, &value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_in_json_yaml_and_escaped_json() {
        let found = |text: &str| targets(text).collect::<Vec<_>>();
        assert_eq!(found(r#"{"_target_": "os.system"}"#), ["os.system"]);
        assert_eq!(found(r#"{\"_target_\": \"os.system\"}"#), ["os.system"]);
        assert_eq!(found("_target_: builtins.exec\n"), ["builtins.exec"]);
        assert_eq!(found("no _target_ here"), Vec::<String>::new());
    }

    #[test]
    fn libraries_are_no_danger_and_interpreters_are() {
        for target in ["os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load", "a.b.__globals__.x"] {
            assert!(is_dangerous(target), "{target}");
        }
        for target in ["torch.nn.Linear", "nemo.collections.asr.Model", "flextok.model.Transformer", "ossify.Layer"] {
            assert!(!is_dangerous(target), "{target}");
        }
    }

    #[test]
    fn encoded_pickles_are_decoded_and_words_are_not() {
        assert!(payload(&STANDARD.encode(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.")).is_some());
        assert!(payload("80049517000000000000008c05706f736978").is_some());
        assert!(payload("stable-diffusion-xl-v1-base/lora").is_none());
        assert!(payload("0000000000000000000000000000").is_none());
    }
}
