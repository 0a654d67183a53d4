//! Methods of Python's texts and dictionaries, which chat templates call.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::filters::{join, replace};
use super::meter::{charge, charge_value, charge_walk};

/// Called for what the template engine itself does not know.
pub(super) fn call(_: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        charge(text.len())?;
        return of_text(text, name, args);
    }
    match value.kind() {
        ValueKind::Map => of_map(value, name, args),
        ValueKind::Seq => of_list(value, name, args),
        _ => Err(unknown()),
    }
}

fn unknown() -> Error {
    Error::from(ErrorKind::UnknownMethod)
}

fn of_text(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let matching = |wanted: &Value, matches: fn(&str, &str) -> bool| match wanted.as_str() {
        Some(one) => Ok(matches(text, one)),
        None => Ok::<_, Error>(wanted.try_iter()?.any(|one| one.as_str().is_some_and(|one| matches(text, one)))),
    };
    let all = |holds: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(holds));
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (set,): (Option<&str>,) = from_args(args)?;
            let cut = |c: char| set.map_or(c.is_whitespace(), |set| set.contains(c));
            let start = if name == "rstrip" { text } else { text.trim_start_matches(cut) };
            Value::from(if name == "lstrip" { start } else { start.trim_end_matches(cut) })
        }
        "split" | "rsplit" => {
            let (at, most): (Option<Value>, Option<i64>) = from_args(args)?;
            charge(text.len().saturating_mul(8))?;
            split(text, at.as_ref().and_then(Value::as_str), most, name == "rsplit")
        }
        "splitlines" => {
            charge(text.len().saturating_mul(8))?;
            Value::from(text.lines().map(Value::from).collect::<Vec<_>>())
        }
        "startswith" => Value::from(matching(&from_args::<(Value,)>(args)?.0, |text, one| text.starts_with(one))?),
        "endswith" => Value::from(matching(&from_args::<(Value,)>(args)?.0, |text, one| text.ends_with(one))?),
        "removeprefix" => {
            let (one,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(one).unwrap_or(text))
        }
        "removesuffix" => {
            let (one,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(one).unwrap_or(text))
        }
        "replace" => {
            let (from, to): (&str, &str) = from_args(args.get(..2).unwrap_or(args))?;
            Value::from(replace(text, from, to)?)
        }
        "join" => Value::from(join(&from_args::<(Value,)>(args)?.0, text)?),
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "capitalize" => {
            let mut characters = text.chars();
            let first = characters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            Value::from(first + &characters.as_str().to_lowercase())
        }
        "title" => Value::from(titled(text)),
        "find" | "rfind" => {
            let (one,): (&str,) = from_args(args)?;
            let at = if name == "find" { text.find(one) } else { text.rfind(one) };
            let characters = at.map(|at| text.get(..at).unwrap_or_default().chars().count());
            Value::from(characters.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
        }
        "count" => Value::from(text.matches(from_args::<(&str,)>(args)?.0).count()),
        "isdigit" | "isnumeric" | "isdecimal" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isupper" => Value::from(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "islower" => Value::from(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        _ => return Err(unknown()),
    })
}

fn split(text: &str, at: Option<&str>, most: Option<i64>, from_end: bool) -> Value {
    let most = most.and_then(|most| usize::try_from(most).ok());
    let parts: Vec<&str> = match (at.filter(|at| !at.is_empty()), most) {
        (Some(at), None) => text.split(at).collect(),
        (Some(at), Some(most)) if from_end => {
            let mut parts: Vec<&str> = text.rsplitn(most.saturating_add(1), at).collect();
            parts.reverse();
            parts
        }
        (Some(at), Some(most)) => text.splitn(most.saturating_add(1), at).collect(),
        (None, None) => text.split_whitespace().collect(),
        (None, Some(most)) => {
            let mut parts = Vec::new();
            let mut rest = text.trim();
            while parts.len() < most && !rest.is_empty() {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (part, after) = rest.split_at(end);
                parts.push(part);
                rest = after.trim_start();
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
            parts
        }
    };
    Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>())
}

fn titled(text: &str) -> String {
    let mut inside = false;
    let mut made = String::with_capacity(text.len());
    for character in text.chars() {
        if inside {
            made.extend(character.to_lowercase());
        } else {
            made.extend(character.to_uppercase());
        }
        inside = character.is_alphabetic();
    }
    made
}

fn of_map(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "get" => {
            let (key, otherwise): (Value, Option<Value>) = from_args(args)?;
            charge_walk(&key)?;
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() { otherwise.unwrap_or(Value::from(())) } else { found })
        }
        "keys" | "values" | "items" => {
            let _: () = from_args(args)?;
            charge_value(value)?;
            let mut made = Vec::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                made.push(match name {
                    "keys" => key,
                    "values" => item,
                    _ => Value::from(vec![key, item]),
                });
            }
            Ok(Value::from(made))
        }
        _ => Err(unknown()),
    }
}

fn of_list(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = from_args(args)?;
    charge_value(value)?;
    let mut items = value.try_iter()?;
    match name {
        "count" => Ok(Value::from(items.filter(|item| *item == wanted).count())),
        "index" => match items.position(|item| item == wanted) {
            Some(at) => Ok(Value::from(at)),
            None => Err(Error::new(ErrorKind::InvalidOperation, "value is not in the list")),
        },
        _ => Err(unknown()),
    }
}
