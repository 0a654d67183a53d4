//! Tags that build objects: PyYAML's `!!python/…`, HyperPyYAML's `!new:`,
//! Ruby's and SnakeYAML's.

use crate::codec::config::callables::{Callable, judge, looks_like_command};
use crate::codec::yaml::{Tagged, rules, scalar};
use crate::core::Inspection;

/// PyYAML tags that build plain values.
const PYTHON_VALUES: &[&str] =
    &["none", "bool", "str", "unicode", "bytes", "int", "long", "float", "complex", "list", "tuple", "dict"];

/// Prefixes of PyYAML tags that name what is built or called, and whether
/// naming it already builds something.
const PYTHON_NAMES: &[(&str, bool)] = &[
    ("python/object/apply:", true),
    ("python/object/new:", true),
    ("python/object:", true),
    ("python/name:", false),
    ("python/module:", false),
];

/// HyperPyYAML (SpeechBrain): `!new:torch.nn.Linear`, `!apply:torch.manual_seed`.
const HYPERPYYAML: &[&str] = &["!new:", "!apply:", "!applyref:", "!name:", "!module:"];

/// Java and Ruby classes of published deserialisation attacks.
const GADGETS: &[&str] = &[
    "javax.script.",
    "javax.management.",
    "java.net.",
    "java.io.",
    "java.lang.Process",
    "java.lang.Runtime",
    "com.sun.rowset.",
    "com.mchange.",
    "org.springframework.",
    "org.apache.commons.configuration.",
    "org.apache.xbean.",
    "org.apache.naming.",
    "ch.qos.logback.",
    "org.eclipse.jetty.",
    "Gem::",
    "Net::",
    "ERB",
    "Kernel",
    "Process",
];

/// Judges every tag and reports those that stand out.
pub(super) fn inspect(ctx: &mut Inspection<'_>, tags: &[Tagged]) {
    for tagged in tags {
        let rule = match judge_tag(tagged) {
            Callable::Dangerous(why) => Some((&rules::CODE_TAG, why)),
            Callable::Unusual(why) => Some((&rules::OBJECT_TAG, why)),
            Callable::Known | Callable::Unknown => None,
        };
        if let Some((rule, why)) = rule {
            let tag = tagged.tag.strip_prefix(scalar::CORE).map_or(tagged.tag.clone(), |name| format!("!!{name}"));
            let place = if tagged.path.is_empty() { "the document" } else { &tagged.path };
            ctx.find(rule, None, format!("{place}: `{tag} {}` {why}", tagged.value));
        }
    }
}

fn judge_tag(tagged: &Tagged) -> Callable {
    let global = tagged.tag.strip_prefix(scalar::CORE);
    // `!python/…` is what loaders with a prefix of their own register.
    let name = global.or_else(|| tagged.tag.strip_prefix('!')).unwrap_or(&tagged.tag);
    if let Some(name) = name.strip_prefix("python/") {
        return python(name, tagged);
    }
    if let Some(callee) = HYPERPYYAML.iter().find_map(|p| tagged.tag.strip_prefix(p)) {
        return match judge(callee) {
            Callable::Unknown if looks_like_command(&tagged.value) => {
                Callable::Unusual("is called with what looks like a command")
            }
            judged => judged,
        };
    }
    if let Some(class) = name.strip_prefix("ruby/") {
        return match class.split_once(':') {
            Some((_, class)) if GADGETS.iter().any(|g| class.starts_with(g)) => {
                Callable::Dangerous("is a known way to run code")
            }
            Some((kind, _)) if kind != "regexp" && kind != "symbol" => {
                Callable::Unusual("builds an object of a Ruby program")
            }
            _ => Callable::Known,
        };
    }
    if name.starts_with("js/function") {
        return Callable::Unusual("builds a JavaScript function");
    }
    // SnakeYAML: `!!` and the name of a class.
    if let Some(class) = global
        && class.contains('.')
    {
        return if GADGETS.iter().any(|g| class.starts_with(g)) {
            Callable::Dangerous("is a known way to run code")
        } else {
            Callable::Unusual("builds an object of a Java program")
        };
    }
    Callable::Known
}

fn python(name: &str, tagged: &Tagged) -> Callable {
    if PYTHON_VALUES.contains(&name) {
        return Callable::Known;
    }
    let full = format!("python/{name}");
    let Some((callee, builds)) = PYTHON_NAMES.iter().find_map(|(p, b)| full.strip_prefix(p).map(|c| (c, *b))) else {
        return Callable::Unusual("is no tag PyYAML knows");
    };
    match judge(callee) {
        Callable::Unknown if looks_like_command(&tagged.value) => {
            Callable::Unusual("is called with what looks like a command")
        }
        Callable::Unknown if builds => Callable::Unusual("builds an object of an unknown class"),
        judged => judged,
    }
}
