//! The serialised graph: what its nodes call. Read as a stream, since graphs
//! of large models have many megabytes of stack traces.

use std::collections::BTreeSet;
use std::fmt;
use std::io::BufReader;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use weighbridge_types::Rule;

use super::rules;
use crate::codec::stream::InputReader;
use crate::codec::zip::{Listing, Member};
use crate::core::{FormatError, Input, Inspection};

/// Longest graph read, bytes.
const GRAPH_BYTES_MAX: u64 = 1 << 30;
/// Most different targets kept.
const TARGETS_MAX: usize = 4096;
/// Longest target kept, bytes.
const TARGET_BYTES_MAX: usize = 300;

pub(super) fn inspect(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
) -> Result<(), FormatError> {
    let (content, stopped) = match listing.open(ctx, input, member) {
        Ok(opened) => opened,
        Err(error) => {
            ctx.stopped(&error);
            return Ok(());
        }
    };
    if content.len() > GRAPH_BYTES_MAX {
        return Err(FormatError::limit("graph_bytes_max", GRAPH_BYTES_MAX));
    }
    ctx.work(content.len() / 64)?;
    ctx.within(&member.name, &content, |ctx, content| {
        let mut targets = BTreeSet::new();
        let reader: BufReader<InputReader> = InputReader::buffered(content.clone());
        let mut deserializer = serde_json::Deserializer::from_reader(reader);
        if let Err(error) = (Targets { found: &mut targets }).deserialize(&mut deserializer) {
            ctx.stopped(&FormatError::malformed("graph", 0, error.to_string()));
        }
        for target in &targets {
            if let Some(rule) = judged(target) {
                ctx.find(rule, None, format!("a node calls `{target}`"));
            }
        }
    });
    if let Some(error) = stopped {
        ctx.stopped(&error);
    }
    Ok(())
}

/// The rule that a node's target breaks. The loader resolves targets that
/// start with `torch` attribute by attribute from the module `torch`
/// (torch/_export/serde/serialize.py, `deserialize_operator`).
pub(super) fn judged(target: &str) -> Option<&'static Rule> {
    const NAMESPACES: &[&str] = &[
        "aten",
        "prims",
        "prim",
        "higher_order",
        "quantized",
        "quantized_decomposed",
        "_quantized",
        "_c10d_functional",
        "export",
        "inductor",
        "inductor_prims",
        "mkldnn",
        "onednn",
        "sparse",
        "profiler",
        "rngprims",
        "c10d_functional",
        "debugprims",
        "symm_mem",
        "mkl",
        "static_runtime",
        "_native",
        "torchvision",
        "torchaudio",
        "torchao",
        "onnx",
        "mkldnn_prepacked",
    ];
    const WAYS_OUT: &[&str] = &[
        "os",
        "sys",
        "subprocess",
        "builtins",
        "importlib",
        "hub",
        "load",
        "save",
        "serialization",
        "package",
        "load_library",
        "cpp_extension",
        "collect_env",
        "pickle",
        "inspect",
        "ctypes",
        "platform",
        "io",
        "shutil",
        "tempfile",
        "from_file",
        "distributed",
        "multiprocessing",
        "threading",
        "eval",
        "exec",
        "compile",
        "_utils_internal",
        "jit",
        "__globals__",
        "__dict__",
        "__builtins__",
        "__class__",
    ];
    let operator = target.strip_prefix("torch.ops.").unwrap_or_default();
    let mut parts = operator.split('.');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("aten", Some("from_file" | "save")) => Some(&rules::DANGEROUS_TARGET),
        ("load_library", _) => Some(&rules::DANGEROUS_TARGET),
        (namespace, Some(_)) if NAMESPACES.contains(&namespace) => None,
        (_, Some(_)) => Some(&rules::CUSTOM_OPERATOR),
        _ if target.starts_with("_operator.") || target.starts_with("operator.") => {
            let function = target.rsplit('.').next().unwrap_or_default();
            matches!(function, "methodcaller" | "attrgetter" | "call" | "setitem").then_some(&rules::CUSTOM_OPERATOR)
        }
        _ if target.starts_with("torch.") && target.split('.').skip(1).any(|p| WAYS_OUT.contains(&p)) => {
            Some(&rules::DANGEROUS_TARGET)
        }
        _ => None,
    }
}

/// Walks a JSON value and keeps the text of every `target`.
struct Targets<'t> {
    found: &'t mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Targets<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Targets<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Targets { found: self.found })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "target" => map.next_value_seed(Target { found: self.found })?,
                "stack_trace" => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => map.next_value_seed(Targets { found: self.found })?,
            }
        }
        Ok(())
    }
}

/// The value of a `target`: usually text.
struct Target<'t> {
    found: &'t mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Target<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if let Some(text) = value.as_str()
            && self.found.len() < TARGETS_MAX
        {
            let kept: String = text.chars().take(TARGET_BYTES_MAX).collect();
            self.found.insert(kept);
        }
        Ok(())
    }
}
