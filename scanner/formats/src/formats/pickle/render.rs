//! Evidence: values and calls as Python would spell them, at bounded length.

use crate::formats::pickle::heap::{Call, How, Object, Value};
use crate::formats::pickle::literal;
use crate::formats::pickle::machine::Machine;

/// Longest rendering, bytes.
const SHOWN_BYTES_MAX: usize = 700;
/// Longest text shown of one constant, bytes.
const TEXT_BYTES_MAX: usize = 160;
/// Items shown of one container.
const ITEMS_MAX: usize = 8;
/// Values in values.
const DEPTH_MAX: u32 = 8;

impl Machine<'_> {
    /// A value as Python would spell it.
    #[must_use]
    pub fn shown(&self, value: Value) -> String {
        let mut out = String::new();
        self.show(&mut out, value, 0);
        out
    }

    /// A call as Python would spell it.
    #[must_use]
    pub fn shown_call(&self, call: &Call) -> String {
        let mut out = String::new();
        self.show_call(&mut out, call, 0);
        out
    }

    fn show(&self, out: &mut String, value: Value, depth: u32) {
        if out.len() > SHOWN_BYTES_MAX || depth > DEPTH_MAX {
            out.push('…');
            return;
        }
        match value {
            Value::None => out.push_str("None"),
            Value::Bool(true) => out.push_str("True"),
            Value::Bool(false) => out.push_str("False"),
            Value::Int(n) => out.push_str(&n.to_string()),
            Value::Float(x) => out.push_str(&format!("{x:?}")),
            Value::Str(text) => {
                let shown = text.bytes(self.input, TEXT_BYTES_MAX);
                let (bytes, whole) = shown.unwrap_or_default();
                show_text(out, &literal::text_of(bytes), whole);
            }
            Value::Bytes(bytes) => {
                let (bytes, whole) = bytes.bytes(self.input, TEXT_BYTES_MAX).unwrap_or_default();
                show_bytes(out, &bytes, whole);
            }
            Value::Data => out.push_str("<data>"),
            Value::Unknown => out.push_str("<unknown>"),
            Value::Object(_) => match self.heap.object(value) {
                Some(object) => self.show_object(out, object, depth),
                None => out.push('…'),
            },
        }
    }

    fn show_object(&self, out: &mut String, object: &Object, depth: u32) {
        match object {
            Object::Tuple(items) => {
                let end = if items.total == 1 { ",)" } else { ")" };
                self.show_items(out, "(", &items.kept, items.total, end, depth);
            }
            Object::List(items) => self.show_items(out, "[", &items.kept, items.total, "]", depth),
            Object::Set(items) => self.show_items(out, "{", &items.kept, items.total, "}", depth),
            Object::Dict(items) => {
                out.push('{');
                for (n, (key, value)) in items.pairs().take(ITEMS_MAX).enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    self.show(out, key, depth + 1);
                    out.push_str(": ");
                    self.show(out, value, depth + 1);
                }
                out.push_str(if items.total > 2 * ITEMS_MAX as u64 { ", …}" } else { "}" });
            }
            Object::Global(id) => out.push_str(&self.names.get(*id).map(|n| n.full()).unwrap_or_default()),
            Object::Call(call) => self.show_call(out, call, depth),
            Object::Persistent(id) => {
                out.push_str("persistent_load(");
                self.show(out, *id, depth + 1);
                out.push(')');
            }
            Object::Number(digits) => out.push_str(if digits.is_empty() { "<number>" } else { digits }),
        }
    }

    fn show_call(&self, out: &mut String, call: &Call, depth: u32) {
        self.show(out, call.callee, depth + 1);
        if call.how == How::New {
            out.push_str(".__new__");
        }
        match self.heap.items(call.args) {
            Some(items) => self.show_items(out, "(", &items.kept, items.total, "", depth),
            None => {
                out.push_str("(*");
                self.show(out, call.args, depth + 1);
            }
        }
        if call.keywords != Value::None {
            out.push_str(", **");
            self.show(out, call.keywords, depth + 1);
        }
        out.push(')');
    }

    fn show_items(&self, out: &mut String, open: &str, items: &[Value], total: u64, close: &str, depth: u32) {
        out.push_str(open);
        for (n, item) in items.iter().take(ITEMS_MAX).enumerate() {
            if n > 0 {
                out.push_str(", ");
            }
            self.show(out, *item, depth + 1);
        }
        if total > items.len().min(ITEMS_MAX) as u64 {
            out.push_str(", …");
        }
        out.push_str(close);
    }
}

fn show_text(out: &mut String, text: &str, whole: bool) {
    out.push_str(&format!("{text:?}"));
    if !whole {
        out.push('…');
    }
}

fn show_bytes(out: &mut String, bytes: &[u8], whole: bool) {
    out.push_str("b\"");
    for byte in bytes {
        out.extend(byte.escape_ascii().map(char::from));
    }
    out.push('"');
    if !whole {
        out.push('…');
    }
}
