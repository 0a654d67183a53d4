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

fn charge_below(value: &Value, depth: usize) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return charge(text.len() + 8);
    }
    let inner = matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable);
    if !inner {
        return charge(16);
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Error::new(ErrorKind::InvalidOperation, "values nested too deep").with_source(Spent));
    };
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
