//! Functions and classes stored by value: opaque code, judged by the names it
//! uses.

use crate::formats::pickle::heap::{Call, Object, Value};
use crate::formats::pickle::machine::Machine;
use crate::formats::pickle::special::Special;
use crate::formats::pickle::tables;
use crate::formats::pickle::{literal, rules};

/// Values looked at in the arguments of one code object.
const VALUES_MAX: usize = 4096;
/// Fewest arguments of `types.CodeType` in any version of Python.
const CODE_ARGUMENTS_MIN: u64 = 12;

/// Whether `name` may be a type that makes functions, files or modules, as
/// `dill` and `cloudpickle` look it up: any but those known to hold data.
#[must_use]
pub fn is_code_type(name: &str) -> bool {
    const DATA: &[&str] = &[
        "NoneType",
        "NotImplementedType",
        "EllipsisType",
        "int",
        "float",
        "complex",
        "bool",
        "str",
        "bytes",
        "bytearray",
        "list",
        "tuple",
        "dict",
        "set",
        "frozenset",
        "range",
        "slice",
        "object",
        "type",
        "SimpleNamespace",
        "ndarray",
        "dtype",
        "OrderedDict",
        "defaultdict",
        "NDArrayType",
        "NumpyUfuncType",
        "GenericAlias",
        "MappingProxyType",
        "enumerate",
        "zip",
        "reversed",
        "Union",
        "UnionType",
        "Exception",
    ];
    !DATA.contains(&name) && !name.ends_with("Error")
}

impl Machine<'_> {
    /// A code object is made.
    pub fn check_code(&mut self, at: u64, call: &Call) {
        let shown = self.shown_call(call);
        let items = self.heap.items(call.args);
        let total = items.map_or(0, |i| i.total);
        let has_code = items.is_some_and(|i| {
            i.kept.iter().any(|v| matches!(self.heap.resolved(*v), Value::Bytes(_)) || self.heap.call(*v).is_some())
        });
        if total < CODE_ARGUMENTS_MIN || !has_code {
            self.alert(&rules::DANGEROUS_CODE, at, format!("a code object no pickler writes: {shown}"));
            return;
        }
        let words = self.words(call.args);
        match words.iter().find(|w| w.split(['.', '(', ' ', '\'', '"']).any(tables::is_dangerous_word)) {
            Some(word) => {
                let detail = format!("code that names {word}: {shown}");
                self.alert(&rules::DANGEROUS_CODE, at, detail);
            }
            None => {
                let mut names = words.join(", ");
                names.truncate((0..=200.min(names.len())).rev().find(|n| names.is_char_boundary(*n)).unwrap_or(0));
                self.alert(&rules::EMBEDDED_CODE, at, format!("code that names: {names}"));
            }
        }
    }

    /// A function is made: its first argument must be a code object made
    /// before.
    pub fn check_function(&mut self, at: u64, call: &Call) {
        let Some(id) = self.heap.global(call.callee) else { return };
        let makes_function = self.names.get(id).is_some_and(|n| {
            matches!(n.name.as_str(), "_make_function" | "_create_function" | "_make_skel_func" | "_fill_function")
        });
        if !makes_function {
            return;
        }
        let first = self.heap.items(call.args).and_then(|i| i.kept.first().copied()).unwrap_or(Value::None);
        let from_code = self.heap.call(first).is_some_and(|made| {
            self.heap.call(made.callee).is_some()
                || self
                    .heap
                    .global(made.callee)
                    .and_then(|id| self.names.get(id))
                    .is_some_and(|n| n.special == Some(Special::MakeCode) || n.name.starts_with("_make"))
        });
        if !from_code {
            let shown = self.shown_call(call);
            self.alert(&rules::DANGEROUS_CODE, at, format!("a function no pickler writes: {shown}"));
        }
    }

    /// Texts among the values, however deep.
    fn words(&self, value: Value) -> Vec<String> {
        let mut words = Vec::new();
        let mut open = vec![value];
        let mut seen = 0;
        while let Some(value) = open.pop() {
            seen += 1;
            if seen > VALUES_MAX {
                break;
            }
            match value {
                Value::Str(text) => {
                    words.extend(text.bytes(self.input, 256).map(|(bytes, _)| literal::text_of(bytes)));
                }
                Value::Object(_) => match self.heap.object(value) {
                    Some(Object::Tuple(items) | Object::List(items) | Object::Dict(items) | Object::Set(items)) => {
                        open.extend(items.kept.iter().rev());
                    }
                    Some(Object::Call(call)) => open.push(call.args),
                    _ => {}
                },
                _ => {}
            }
        }
        words
    }
}
