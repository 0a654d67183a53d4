//! What chat templates may call: Jinja's filters, counted, and what Hugging
//! Face transformers adds to them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, functions, tests};
use serde_json::Value as Json;

use super::meter::{charge, charge_length, charge_value, charge_walk, listed, settled};

/// Deepest JSON written.
const JSON_DEPTH_MAX: usize = 128;
/// Widest indentation.
const INDENT_MAX: usize = 64;

/// A template's own refusal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

/// Adds all of it.
pub(super) fn add(environment: &mut Environment<'static>) {
    // May make much of little, and no chat template is known to need them.
    for name in ["format", "slice", "batch", "sum", "pprint", "chain", "zip", "attr"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    counted(environment, "upper", Value::from_function(filters::upper));
    counted(environment, "lower", Value::from_function(filters::lower));
    counted(environment, "title", Value::from_function(filters::title));
    counted(environment, "capitalize", Value::from_function(filters::capitalize));
    counted(environment, "trim", Value::from_function(filters::trim));
    counted(environment, "split", Value::from_function(filters::split));
    counted(environment, "lines", Value::from_function(filters::lines));
    counted(environment, "list", Value::from_function(filters::list));
    counted(environment, "string", Value::from_function(filters::string));
    counted(environment, "reverse", Value::from_function(filters::reverse));
    counted(environment, "items", Value::from_function(filters::items));
    counted(environment, "dictsort", Value::from_function(filters::dictsort));
    counted(environment, "sort", Value::from_function(filters::sort));
    counted(environment, "unique", Value::from_function(filters::unique));
    counted(environment, "groupby", Value::from_function(filters::groupby));
    counted(environment, "map", Value::from_function(filters::map));
    counted(environment, "select", Value::from_function(filters::select));
    counted(environment, "reject", Value::from_function(filters::reject));
    counted(environment, "selectattr", Value::from_function(filters::selectattr));
    counted(environment, "rejectattr", Value::from_function(filters::rejectattr));
    counted(environment, "escape", Value::from_function(filters::escape));
    counted(environment, "e", Value::from_function(filters::escape));

    environment.add_filter("_b", |value: Value| charge_value(&value).map(|()| value));
    environment.add_filter("_s", |value: Value| charge_length(&value).and_then(|()| listed(value)));
    environment.add_filter("_q", |value: Value| charge_walk(&value).map(|()| value));
    environment.add_filter("_v", settled);
    environment.add_filter("_n", |value: Value| {
        if value.is_number() { Ok(value) } else { Err(wrong("only numbers are multiplied in a chat template")) }
    });
    environment.add_function("_c", |bytes: usize| charge(bytes).map(|()| ""));
    environment.add_filter("replace", |text: &str, from: &str, to: &str| replace(text, from, to));
    environment.add_filter("join", |items: Value, with: Option<&str>| join(&items, with.unwrap_or_default()));
    environment.add_filter("indent", indent);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
    });
    environment.add_function("strftime_now", strftime_now);
    environment.add_function("range", |state: &mut State, args: Rest<Value>| -> Result<Value, Error> {
        let made = Value::from_function(functions::range).call(state, &args)?;
        charge(made.len().unwrap_or(0).saturating_mul(8)).map(|()| made)
    });
    for (name, maker) in
        [("dict", Value::from_function(functions::dict)), ("namespace", Value::from_function(functions::namespace))]
    {
        environment.add_function(name, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            let made = maker.call(state, &args.into_values())?;
            charge_value(&made).map(|()| made)
        });
    }
    compared(environment, &["eq", "equalto", "=="], tests::is_eq);
    compared(environment, &["ne", "!="], tests::is_ne);
    compared(environment, &["lt", "lessthan", "<"], tests::is_lt);
    compared(environment, &["le", "<="], tests::is_le);
    compared(environment, &["gt", "greaterthan", ">"], tests::is_gt);
    compared(environment, &["ge", ">="], tests::is_ge);
    environment.add_test("in", |state: &State, value: &Value, other: &Value| -> Result<bool, Error> {
        charge_walk(value)?;
        charge_walk(other)?;
        tests::is_in(state, value, other)
    });
}

/// A test that compares, with both sides counted.
fn compared(environment: &mut Environment<'static>, names: &[&'static str], test: fn(&Value, &Value) -> bool) {
    for name in names {
        environment.add_test(*name, move |value: &Value, other: &Value| -> Result<bool, Error> {
            charge_walk(value)?;
            charge_walk(other).map(|()| test(value, other))
        });
    }
}

/// `filter` with its input counted; its output is no larger but for a factor,
/// and holds on to nothing.
fn counted(environment: &mut Environment<'static>, name: &'static str, filter: Value) {
    environment.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value, Error> {
        let args = args.into_values();
        if let Some(input) = args.first() {
            charge_value(input)?;
        }
        filter.call(state, &args).and_then(listed)
    });
}

pub(super) fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

pub(super) fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let found = text.matches(from).count();
    charge(text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(text.replace(from, to))
}

pub(super) fn join(items: &Value, with: &str) -> Result<String, Error> {
    if items.is_undefined() {
        return Ok(String::new());
    }
    charge_value(items)?;
    let count = items.len().unwrap_or_else(|| items.try_iter().map(Iterator::count).unwrap_or(0));
    charge(count.saturating_mul(with.len()))?;
    Ok(items.try_iter()?.map(|item| item.to_string()).collect::<Vec<_>>().join(with))
}

fn indent(text: &str, width: Option<usize>, first: Option<bool>, blank: Option<bool>) -> Result<String, Error> {
    let width = width.unwrap_or(4);
    if width > INDENT_MAX {
        return Err(wrong("indentation is too wide"));
    }
    charge(text.len().saturating_add(text.matches('\n').count().saturating_add(1).saturating_mul(width)))?;
    let margin = " ".repeat(width);
    let mut made = String::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let empty = line.trim_end_matches(['\n', '\r']).is_empty();
        if (number > 0 || first == Some(true)) && (!empty || blank == Some(true)) {
            made.push_str(&margin);
        }
        made.push_str(line);
    }
    Ok(made)
}

/// The time now in UTC, as Python's `strftime` writes it.
fn strftime_now(format: &str) -> Result<String, Error> {
    // A directive makes at most about 40 bytes, unless it pads.
    if format.len() > 64 || format.contains(|c: char| c.is_ascii_digit()) {
        return Err(wrong("the time format is not one of a chat template"));
    }
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    jiff::fmt::strtime::format(format, &now).map_err(|_| wrong("the time format is not one of a chat template"))
}

/// JSON as Python's `json.dumps(..., ensure_ascii=False)` writes it.
fn to_json(value: &Value, indent: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    charge_value(value)?;
    let indent = match indent.or(kwargs.get::<Option<Value>>("indent")?) {
        Some(width) if !width.is_none() && !width.is_undefined() => Some(usize::try_from(width)?.min(INDENT_MAX)),
        _ => None,
    };
    let separators: Option<(String, String)> = match kwargs.get::<Option<Value>>("separators")? {
        Some(pair) if pair.kind() == ValueKind::Seq => {
            let of = |at: usize| pair.get_item_by_index(at).map(|text| text.to_string());
            Some((of(0)?, of(1)?)).filter(|(item, key)| item.len() <= 4 && key.len() <= 4)
        }
        _ => None,
    };
    let sorts = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    // Accepted and without effect: text is written as it is.
    let _ = kwargs.get::<Option<bool>>("ensure_ascii")?;
    kwargs.assert_all_used()?;
    let item = if indent.is_some() { "," } else { ", " };
    let (item, key) = separators.unwrap_or_else(|| (item.to_owned(), ": ".to_owned()));
    let value = serde_json::to_value(value).map_err(|_| wrong("a value cannot be written as JSON"))?;
    let mut writer = JsonWriter { out: String::new(), indent, item, key, sorts };
    writer.write(&value, 0)?;
    Ok(writer.out)
}

struct JsonWriter {
    out: String,
    indent: Option<usize>,
    item: String,
    key: String,
    sorts: bool,
}

impl JsonWriter {
    fn write(&mut self, value: &Json, depth: usize) -> Result<(), Error> {
        if depth > JSON_DEPTH_MAX {
            return Err(wrong("JSON is nested too deep"));
        }
        match value {
            Json::Array(items) if !items.is_empty() => {
                self.out.push('[');
                for (number, item) in items.iter().enumerate() {
                    self.next(number, depth + 1)?;
                    self.write(item, depth + 1)?;
                }
                self.line(depth)?;
                self.out.push(']');
            }
            Json::Object(fields) if !fields.is_empty() => {
                self.out.push('{');
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sorts {
                    fields.sort_by_key(|&(name, _)| name);
                }
                for (number, (name, field)) in fields.into_iter().enumerate() {
                    self.next(number, depth + 1)?;
                    self.out.push_str(&Json::from(name.as_str()).to_string());
                    self.out.push_str(&self.key);
                    self.write(field, depth + 1)?;
                }
                self.line(depth)?;
                self.out.push('}');
            }
            plain => self.out.push_str(&plain.to_string()),
        }
        Ok(())
    }

    fn next(&mut self, number: usize, depth: usize) -> Result<(), Error> {
        if number > 0 {
            self.out.push_str(&self.item);
        }
        self.line(depth)
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        let Some(width) = self.indent else { return Ok(()) };
        charge(depth * width + 1)?;
        self.out.push('\n');
        self.out.push_str(&" ".repeat(depth * width));
        Ok(())
    }
}
