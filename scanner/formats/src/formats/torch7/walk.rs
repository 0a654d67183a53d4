use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::reader::{Encoding, Values};
use super::rules;
use crate::core::{FormatError, Input, Inspection};

/// Longest class name or string key, bytes.
const NAME_BYTES_MAX: usize = 1 << 20;
/// Most dimensions of a tensor.
const DIMENSIONS_MAX: i64 = 64;
/// Most objects waiting to be read.
const OPEN_MAX: u64 = 100_000_000;
/// Bytes looked through at a time for Lua code.
const WINDOW_BYTES: usize = 1 << 20;

/// What the stream holds next.
enum Step {
    /// So many objects, one after the other.
    Objects(u64),
    /// The objects of a table, key and value.
    Pairs(u64),
}

/// Follows the objects of `input`, reports Lua functions and marks storages as
/// tensor data. Classes that serialise themselves in their own way end the
/// walk; the rest is then searched for Lua code.
pub(super) fn walk(ctx: &mut Inspection<'_>, input: &Input, encoding: Encoding) -> Result<(), FormatError> {
    let mut state =
        State { values: Values::new(input, encoding), seen: HashSet::new(), classes: BTreeMap::new(), functions: 0 };
    let outcome = state.objects(ctx, input);
    state.facts(ctx);
    // What a walk does not reach, another reader may.
    if state.functions == 0 {
        search_code(ctx, input, state.values.r.position())?;
    }
    outcome
}

struct State<'a> {
    values: Values<'a>,
    seen: HashSet<i64>,
    classes: BTreeMap<String, u64>,
    functions: u64,
}

impl State<'_> {
    fn objects(&mut self, ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
        let mut open = vec![Step::Objects(1)];
        while let Some(step) = open.pop() {
            ctx.work(1)?;
            let left = match step {
                Step::Objects(n) => n,
                Step::Pairs(n) => n.saturating_mul(2),
            };
            let Some(left) = left.checked_sub(1) else { continue };
            if left > 0 {
                open.push(Step::Objects(left));
            }
            if let Some(next) = self.object(ctx, input)? {
                open.push(next);
            }
        }
        Ok(())
    }

    fn object(&mut self, ctx: &mut Inspection<'_>, input: &Input) -> Result<Option<Step>, FormatError> {
        let at = self.values.r.position();
        match self.values.int("type")? {
            0 => Ok(None),
            1 => self.values.skip_double("number").map(|()| None),
            2 => self.values.bytes(NAME_BYTES_MAX, "string").map(|_| None),
            3 => {
                if self.is_seen()? {
                    return Ok(None);
                }
                let pairs = self.values.len("table size")?;
                self.values.r.check_count(pairs, OPEN_MAX, 2, "table size")?;
                Ok(Some(Step::Pairs(pairs)))
            }
            4 => self.instance(ctx, input),
            5 => self.values.int("boolean").map(|_| None),
            6..=8 => {
                if self.is_seen()? {
                    return Ok(None);
                }
                let len = self.values.len("function length")?;
                self.values.skip_elements(len, 1, true, "function")?;
                self.functions += 1;
                if self.functions <= 8 {
                    ctx.find(&rules::LUA_FUNCTION, at, format!("a function of {len} bytes"));
                }
                // Its upvalues.
                Ok(Some(Step::Objects(1)))
            }
            other => Err(FormatError::malformed("type", at, format!("type {other} is not known"))),
        }
    }

    fn is_seen(&mut self) -> Result<bool, FormatError> {
        let index = self.values.int("index")?;
        Ok(!self.seen.insert(index))
    }

    /// An object of a class: version, class name, content.
    fn instance(&mut self, ctx: &mut Inspection<'_>, input: &Input) -> Result<Option<Step>, FormatError> {
        if self.is_seen()? {
            return Ok(None);
        }
        let version = self.values.bytes(NAME_BYTES_MAX, "version")?;
        let class = if version.starts_with(b"V ") { self.values.bytes(NAME_BYTES_MAX, "class")? } else { version };
        let class = String::from_utf8_lossy(&class).into_owned();
        if self.classes.len() < 256 || self.classes.contains_key(&class) {
            *self.classes.entry(class.clone()).or_default() += 1;
        }
        if class.starts_with("torch.") && class.ends_with("Storage") {
            self.storage(ctx, input, &class)?;
            return Ok(None);
        }
        if class.starts_with("torch.") && class.ends_with("Tensor") {
            let at = self.values.r.position();
            let dimensions = self.values.int("dimensions")?;
            if !(0..=DIMENSIONS_MAX).contains(&dimensions) {
                return Err(FormatError::malformed("dimensions", at, format!("{dimensions} dimensions")));
            }
            for _ in 0..dimensions * 2 + 1 {
                self.values.long("size, stride or offset")?;
            }
        }
        // Tensors are followed by their storage, other classes by a table.
        Ok(Some(Step::Objects(1)))
    }

    fn storage(&mut self, ctx: &mut Inspection<'_>, input: &Input, class: &str) -> Result<(), FormatError> {
        let at = self.values.r.position();
        let bytes_each = match class.trim_start_matches("torch.").trim_end_matches("Storage") {
            "Double" | "Long" | "CudaDouble" | "CudaLong" => 8,
            "Float" | "Int" | "Cuda" | "CudaInt" => 4,
            "Short" | "Half" | "CudaShort" | "CudaHalf" => 2,
            "Byte" | "Char" | "CudaByte" | "CudaChar" => 1,
            _ => return Err(FormatError::malformed("storage class", at, format!("`{class}` is not known"))),
        };
        let len = self.values.long("storage size")?;
        let len = u64::try_from(len).map_err(|_| FormatError::malformed("storage size", at, "negative"))?;
        let start = self.values.r.position();
        let text = bytes_each == 1;
        self.values.skip_elements(len, bytes_each, text, "storage")?;
        ctx.opaque(input, start..self.values.r.position());
        Ok(())
    }

    fn facts(&self, ctx: &mut Inspection<'_>) {
        let classes: Map<String, Value> = self.classes.iter().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
        ctx.fact("classes", Value::Object(classes));
        let tensors: u64 = self.classes.iter().filter(|(c, _)| c.ends_with("Tensor")).map(|(_, n)| n).sum();
        ctx.fact("tensor_count", tensors);
    }
}

/// Looks for precompiled Lua from `from` on.
fn search_code(ctx: &mut Inspection<'_>, input: &Input, from: u64) -> Result<(), FormatError> {
    let mut at = from;
    while at < input.len() {
        let window = input.read_vec(at, WINDOW_BYTES).map_err(|source| FormatError::Io { offset: at, source })?;
        let found =
            [&b"\x1bLua"[..], b"\x1bLJ\x01", b"\x1bLJ\x02"].iter().find_map(|m| memchr::memmem::find(&window, m));
        if let Some(offset) = found {
            ctx.find(&rules::LUA_FUNCTION, at + offset as u64, "precompiled Lua");
            return Ok(());
        }
        if window.len() < WINDOW_BYTES {
            break;
        }
        at += window.len() as u64 - 8;
    }
    Ok(())
}
