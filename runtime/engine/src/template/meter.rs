//! Counts the bytes a template makes while it runs.
//!
//! The template engine counts instructions, but one instruction may double a
//! text. [`super::rewrite`] puts a counting filter around every operand that
//! may grow; filters and methods count for themselves. All of one rendering
//! draws on one budget, kept per thread since rendering never leaves its own.

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Deepest nesting of values; the engine recurses when it drops or shows them.
const DEPTH_MAX: usize = 100;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// The budget is used up.
#[derive(Debug, thiserror::Error)]
#[error("too many bytes made")]
pub(super) struct Spent;

/// Runs `render` with a budget of its own.
pub(super) fn within<T>(budget: usize, render: impl FnOnce() -> T) -> T {
    let before = LEFT.replace(budget);
    let rendered = render();
    LEFT.set(before);
    rendered
}

/// Takes `bytes` out of the budget.
pub(super) fn charge(bytes: usize) -> Result<(), Error> {
    match LEFT.get().checked_sub(bytes) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => Err(Error::new(ErrorKind::InvalidOperation, "too many bytes made").with_source(Spent)),
    }
}

/// Counts all that `value` would be as text.
pub(super) fn charge_value(value: &Value) -> Result<(), Error> {
    charge_below(value, DEPTH_MAX)
}

/// Counts the references a copy of `value` holds, or its bytes.
pub(super) fn charge_length(value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => charge(text.len() + 8),
        None => charge(value.len().unwrap_or(0).saturating_mul(16) + 16),
    }
}

/// Counts what it takes to compare `value` with another, or to look up by it.
pub(super) fn charge_walk(value: &Value) -> Result<(), Error> {
    walk(value, DEPTH_MAX)
}

/// `value` as a namespace may hold it: data that can form no circle, with no
/// lists that are computed from others when they are read.
pub(super) fn settled(value: Value) -> Result<Value, Error> {
    let changed = settle(&value, DEPTH_MAX)?;
    Ok(changed.unwrap_or(value))
}

/// What `value` must become to be settled, if anything.
fn settle(value: &Value, depth: usize) -> Result<Option<Value>, Error> {
    charge(2)?;
    let why = "a namespace holds data, no namespaces, macros or loops";
    let foreign = || Error::new(ErrorKind::InvalidOperation, why);
    let map = match value.kind() {
        ValueKind::Plain | ValueKind::Invalid => return Err(foreign()),
        ValueKind::Map => value.as_object().filter(|object| object.type_name().contains("IndexMap")).map(|_| true),
        ValueKind::Seq | ValueKind::Iterable => Some(false),
        _ => return Ok(None),
    };
    let map = map.ok_or_else(foreign)?;
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let mut changed = !map && !is_list(value);
    let (mut keys, mut items) = (Vec::new(), Vec::new());
    for key in value.try_iter()? {
        let item = if map { value.get_item(&key)? } else { key.clone() };
        if map {
            // A list that is computed is no key of any template.
            settle(&key, depth)?.map_or(Ok(()), |_| Err(foreign()))?;
            keys.push(key);
        }
        let settled = settle(&item, depth)?;
        changed |= settled.is_some();
        items.push(settled.unwrap_or(item));
    }
    if !changed {
        return Ok(None);
    }
    charge(items.len() * 8)?;
    Ok(Some(if map { Value::from_pairs(keys.into_iter().zip(items)) } else { Value::from(items) }))
}

/// `value` as a list, if it is computed from another when it is read.
pub(super) fn listed(value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    let mut made = Vec::new();
    for item in value.try_iter()? {
        charge(16)?;
        made.push(item);
    }
    Ok(Value::from(made))
}

fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn is_list(value: &Value) -> bool {
    value.downcast_object_ref::<Vec<Value>>().is_some() || value.is_tuple()
}

fn walk(value: &Value, depth: usize) -> Result<(), Error> {
    charge(2 + value.as_str().map_or(0, str::len) / 16)?;
    let map = value.kind() == ValueKind::Map;
    if !map && !is_sequence(value) {
        return Ok(());
    }
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    for item in value.try_iter()? {
        walk(&item, depth)?;
        if map {
            walk(&value.get_item(&item)?, depth)?;
        }
    }
    Ok(())
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, "values nested too deep").with_source(Spent)
}

fn charge_below(value: &Value, depth: usize) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return charge(text.len() + 8);
    }
    let inner = matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable);
    if !inner {
        return charge(16);
    }
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    charge(16)?;
    for item in value.try_iter()? {
        charge_below(&item, depth)?;
        if value.kind() == ValueKind::Map {
            charge_below(&value.get_item(&item)?, depth)?;
        }
    }
    Ok(())
}

/// Writes a value out; undefined is nothing, as in Python's Jinja.
pub(super) fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    charge_value(value)?;
    if value.is_undefined() {
        return Ok(());
    }
    minijinja::escape_formatter(out, state, value)
}
