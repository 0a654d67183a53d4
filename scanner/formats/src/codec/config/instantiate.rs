//! Keys of a configuration that loaders turn into calls.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::codec::config::callables::{Callable, code_mark, judge, looks_like_command, outside_mark};
use crate::codec::config::{Place, excerpt, rules, walk};
use crate::core::{FormatError, Inspection};

/// Keys whose value is called with the rest of the object as arguments.
const CALLS: &[&str] = &["_target_", "__target__", "_component_", "object_to_instantiate"];
/// Keys of jsonpickle that name what is built or called.
const JSONPICKLE: &[&str] = &["py/object", "py/type", "py/function", "py/class", "py/mod", "py/repr", "py/error"];
/// Targets of Hydra that look up another name, given as `path`.
const LOOKUPS: &[&str] =
    &["hydra.utils.get_method", "hydra.utils.get_class", "hydra.utils.get_object", "hydra.utils.get_static_method"];
/// Roots of names that are no host name and no word of prose.
const RUN_AT_ONCE: &[&str] =
    &["os.system", "os.popen", "os.exec", "os.spawn", "posix.", "subprocess.", "builtins.", "pty.spawn"];
/// Longest evidence of arguments, bytes.
const ARGUMENTS_SHOWN_MAX: usize = 300;
/// Most notes (verdict clean) raised for one document.
const NOTES_MAX: usize = 12;
/// Most interpolations resolved in one name.
const INTERPOLATIONS_MAX: usize = 16;
/// Longest dotted name judged; longer ones are text.
const NAME_MAX: usize = 512;

/// Keys that decide what runs: given twice, they are a finding.
const DECISIVE: &[&str] =
    &["_target_", "auto_map", "chat_template", "trust_remote_code", "_attn_implementation_internal", "loader_module"];

/// Inspects every value under `value` and reports the calls and expressions
/// that stand out. `place` is what paths in the evidence start with.
///
/// # Errors
/// When the work budget is spent.
pub fn inspect(ctx: &mut Inspection<'_>, value: &Value, place: &str) -> Result<(), FormatError> {
    let mut notes = 0;
    let evaluates = is_monai(value);
    let root = value;
    walk(ctx, &Place::root(place), value, &mut |ctx, place, value| match value {
        Value::Object(map) => object(ctx, place, map, root, &mut notes),
        Value::String(text) => expression(ctx, place, text, evaluates, &mut notes),
        _ => {}
    })
}

/// Reports duplicate keys that decide what runs, and inspects the values that
/// were replaced: a reader that takes the first value uses those.
///
/// # Errors
/// When the work budget is spent.
pub fn inspect_duplicates(ctx: &mut Inspection<'_>, duplicates: &[(String, Value)]) -> Result<(), FormatError> {
    for (path, replaced) in duplicates {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        inspect(ctx, &replaced_as_object(key, replaced), parent)?;
        if DECISIVE.contains(&key) {
            ctx.find(&rules::DUPLICATE_KEY, None, format!("`{path}` was first {}", excerpt(replaced, 200)));
        }
    }
    Ok(())
}

/// The object that held a replaced value, for checks that look at keys.
#[must_use]
pub fn replaced_as_object(key: &str, replaced: &Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), replaced.clone())]))
}

fn object(ctx: &mut Inspection<'_>, place: &Place<'_>, map: &Map<String, Value>, root: &Value, notes: &mut usize) {
    for key in CALLS {
        if let Some(Value::String(name)) = map.get(*key) {
            report(ctx, place, key, &interpolated(name, map, root), map, notes);
            if LOOKUPS.contains(&name.as_str())
                && let Some(Value::String(path)) = map.get("path")
            {
                report(ctx, place, "path", path, &Map::new(), notes);
            }
        }
    }
    // These keys are ordinary words: only a dangerous name counts, and without
    // arguments beside it only one that runs commands or code at once.
    for (key, arguments) in [("class_path", "init_args"), ("target", "params")] {
        if let Some(Value::String(name)) = map.get(key)
            && is_dotted(name)
            && matches!(judge(name), Callable::Dangerous(_))
            && (map.contains_key(arguments) || RUN_AT_ONCE.iter().any(|root| name.starts_with(root)))
        {
            report(ctx, place, key, name, map, notes);
        }
    }
    for key in JSONPICKLE {
        if let Some(Value::String(name)) = map.get(*key) {
            report(ctx, place, key, name, map, notes);
        }
    }
    if let Some(reduce) = map.get("py/reduce") {
        let detail = format!("{place}: `py/reduce` of {}", excerpt(reduce, ARGUMENTS_SHOWN_MAX));
        ctx.find(&rules::UNUSUAL_CALLABLE, None, detail);
    }
}

/// `name` with plain interpolations (`${a.b}`, `${.sibling}`) replaced by the
/// text they stand for; others are left.
fn interpolated<'a>(name: &'a str, map: &Map<String, Value>, root: &Value) -> Cow<'a, str> {
    let mut name = Cow::Borrowed(name);
    // Each round replaces one; circles end here.
    for _ in 0..INTERPOLATIONS_MAX {
        let Some((before, inner, after)) = innermost(&name) else { break };
        let found = if inner.starts_with('.') {
            map.get(inner.trim_start_matches('.'))
        } else {
            inner.split('.').try_fold(root, |value, key| value.get(key))
        };
        let Some(found) = found.and_then(Value::as_str).filter(|f| f.len() <= NAME_MAX) else { break };
        name = Cow::Owned(format!("{before}{found}{after}"));
        if name.len() > NAME_MAX * 4 {
            break;
        }
    }
    name
}

/// The last `${` of `text` with what is before, in and behind it.
fn innermost(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.rsplit_once("${")?;
    let (inner, after) = rest.split_once('}')?;
    Some((before, inner, after))
}

/// Judges `name` and reports it with its arguments.
fn report(
    ctx: &mut Inspection<'_>,
    place: impl std::fmt::Display,
    key: &str,
    name: &str,
    map: &Map<String, Value>,
    notes: &mut usize,
) {
    // `py/repr` holds `module/expression`, evaluated after an import.
    let callable = if name.len() > NAME_MAX || key == "py/repr" || !is_name(name) {
        match code_mark(name) {
            Some(_) => Callable::Dangerous("is code itself"),
            None if name.contains("${") => Callable::Known,
            None if key == "py/repr" => Callable::Unusual("is evaluated"),
            None => Callable::Unknown,
        }
    } else {
        judge(name)
    };
    let arguments = arguments(map);
    let runs_command = arguments.iter().any(|(_, v)| holds_command(v));
    let text = || {
        let shown: Vec<String> =
            arguments.iter().map(|(k, v)| format!("{k}={}", excerpt(v, ARGUMENTS_SHOWN_MAX / 3))).collect();
        format!("{place}: `{key}: {}({})`", name.chars().take(NAME_MAX).collect::<String>(), shown.join(", "))
    };
    match callable {
        Callable::Dangerous(why) => ctx.find(&rules::DANGEROUS_CALLABLE, None, format!("{} {why}", text())),
        Callable::Unusual(why) => ctx.find(&rules::UNUSUAL_CALLABLE, None, format!("{} {why}", text())),
        Callable::Unknown if runs_command => {
            ctx.find(&rules::UNUSUAL_CALLABLE, None, format!("{} is called with what looks like a command", text()));
        }
        // A bare name is an entry of some tool's own registry.
        Callable::Unknown if *notes < NOTES_MAX && is_dotted(name) => {
            *notes += 1;
            ctx.find(&rules::UNKNOWN_CALLABLE, None, text());
        }
        Callable::Known | Callable::Unknown => {}
    }
}

/// What the call is given: the other keys of the object, `_args_` included.
fn arguments(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let own =
        |key: &str| CALLS.contains(&key) || JSONPICKLE.contains(&key) || ["_convert_", "_partial_"].contains(&key);
    map.iter().filter(|(k, _)| !own(k)).take(8).map(|(k, v)| (k.as_str(), v)).collect()
}

fn holds_command(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() < 1 << 16 && looks_like_command(text),
        Value::Array(items) => items.iter().take(16).any(|v| v.as_str().is_some_and(looks_like_command)),
        _ => false,
    }
}

/// Values that some tool evaluates.
fn expression(ctx: &mut Inspection<'_>, place: &Place<'_>, text: &str, evaluates: bool, notes: &mut usize) {
    if evaluates
        && let Some(source) = text.strip_prefix('$')
        && !source.starts_with('{')
        && !source.starts_with("import ")
    {
        let found = code_mark(source)
            .map(|mark| (&rules::EXPRESSION, mark))
            .or_else(|| outside_mark(source).map(|mark| (&rules::UNUSUAL_EXPRESSION, mark)));
        if let Some((rule, mark)) = found {
            ctx.find(rule, None, format!("{place}: {} (`{mark}`)", excerpt(&text.into(), 300)));
        }
    }
    // Resolvers, innermost included: each `${` starts one.
    for (at, _) in text.match_indices("${").take(64) {
        let Some(inner) = text.get(at + 2..) else { continue };
        let inner: String = inner.chars().take(300).collect();
        let Some((resolver, argument)) = inner.split_once(':') else { continue };
        if resolver.contains(['}', '{', '$']) {
            continue;
        }
        let argument = argument.split("${").next().unwrap_or_default();
        let lookup = ["get_method", "get_class", "get_cls", "get_obj", "get_object", "hydra.get_method"];
        let name = argument.trim_matches(['}', '\'', '"', ' ']);
        if code_mark(argument).is_some() || lookup.contains(&resolver) && matches!(judge(name), Callable::Dangerous(_))
        {
            ctx.find(&rules::EXPRESSION, None, format!("{place}: `${{{}`", excerpt(&inner.as_str().into(), 300)));
        } else if ["oc.env", "env"].contains(&resolver) && *notes < NOTES_MAX {
            *notes += 1;
            let name: String = argument.chars().take_while(|c| *c != '}' && *c != ',').collect();
            ctx.find(&rules::ENVIRONMENT_READ, None, format!("{place} reads `{name}`"));
        }
    }
}

/// Whether the document is a MONAI bundle configuration, whose `$` values are
/// Python expressions.
fn is_monai(value: &Value) -> bool {
    let Value::Object(map) = value else { return false };
    let marks =
        ["imports", "_meta_", "bundle_root", "network_def", "network", "evaluator", "trainer", "initialize", "run"];
    marks.iter().any(|m| map.contains_key(*m)) || map.values().any(|v| v.get("_target_").is_some())
}

fn is_dotted(name: &str) -> bool {
    name.contains('.') && is_name(name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.split(['.', ':']).all(|part| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric()))
}
