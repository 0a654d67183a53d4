use std::fmt;
use std::io::{self, Write};

use serde_json::Value;

use crate::core::{FormatError, Inspection};

/// Deepest nesting visited; more than either reader lets through.
const DEPTH_MAX: usize = 200;
/// Longest part of a key shown in a path, characters.
const KEY_SHOWN_MAX: usize = 64;

/// Where a value stands in its document; shown as `a.b[3].c`.
pub struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
    depth: usize,
}

enum Step<'a> {
    Root(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The whole document; `name` is what paths start with, usually empty.
    #[must_use]
    pub fn root(name: &'a str) -> Self {
        Self { parent: None, step: Step::Root(name), depth: 0 }
    }

    /// The member `key` of this value.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Place<'a> {
        Place { parent: Some(self), step: Step::Key(key), depth: self.depth + 1 }
    }

    fn index(&'a self, index: usize) -> Place<'a> {
        Place { parent: Some(self), step: Step::Index(index), depth: self.depth + 1 }
    }

    /// The value's own key, if it is a member of an object.
    #[must_use]
    pub fn own_key(&self) -> Option<&'a str> {
        match self.step {
            Step::Key(key) => Some(key),
            Step::Index(_) | Step::Root(_) => None,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root(name) => f.write_str(name),
            Step::Index(n) => write!(f, "[{n}]"),
            Step::Key(key) => {
                let dot = match self.parent.map(|p| &p.step) {
                    None | Some(Step::Root("")) => "",
                    Some(_) => ".",
                };
                f.write_str(dot)?;
                key.chars().take(KEY_SHOWN_MAX).try_for_each(|c| f.write_str(c.encode_utf8(&mut [0; 4])))
            }
        }
    }
}

/// What [`walk`] calls for every value, containers before their contents.
pub type Visit<'f, 'v> = dyn FnMut(&mut Inspection<'_>, &Place<'_>, &'v Value) + 'f;

/// Visits `value` and everything in it, at one step of work each.
///
/// # Errors
/// [`FormatError::Limit`] for nesting no reader of ours lets through, or when
/// the work budget is spent.
pub fn walk<'v>(
    ctx: &mut Inspection<'_>,
    place: &Place<'_>,
    value: &'v Value,
    visit: &mut Visit<'_, 'v>,
) -> Result<(), FormatError> {
    if place.depth > DEPTH_MAX {
        return Err(FormatError::limit("config_depth_max", DEPTH_MAX as u64));
    }
    ctx.work(1)?;
    visit(ctx, place, value);
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                walk(ctx, &place.index(n), item, visit)?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                walk(ctx, &place.key(key), item, visit)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `value` as JSON, cut at `max` bytes: evidence.
#[must_use]
pub fn excerpt(value: &Value, max: usize) -> String {
    let mut out = Bounded { bytes: Vec::new(), max };
    let cut = serde_json::to_writer(&mut out, value).is_err();
    let text = String::from_utf8_lossy(&out.bytes);
    if cut { format!("{}…", text.trim_end_matches('\u{fffd}')) } else { text.into_owned() }
}

/// Takes `max` bytes, then refuses, which ends the serialisation early.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(self.max - self.bytes.len());
        self.bytes.extend(buf.iter().take(n));
        if n == 0 && !buf.is_empty() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
