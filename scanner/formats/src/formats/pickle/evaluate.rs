//! Functions whose arguments decide what they do, evaluated on symbols.

use crate::formats::pickle::calls::NESTED_CALLS_MAX;
use crate::formats::pickle::heap::{Call, How, Object, Value};
use crate::formats::pickle::machine::{Fault, Machine};
use crate::formats::pickle::names::NameId;
use crate::formats::pickle::special::Special;
use crate::formats::pickle::tables::{self, Standing};
use crate::formats::pickle::{code, literal, rules};

/// Bytes that no honest constructor reserves.
const ALLOCATION_BYTES_MAX: i64 = 1 << 28;
/// Tensors pickled by value that are inspected.
const TORCH_FILES_MAX: usize = 1024;
/// Constants given to functions that load them, inspected.
const LOADED_MAX: usize = 64;
/// Look-ups of code types remembered.
const CODE_TYPES_MAX: usize = 1024;

impl Machine<'_> {
    pub(super) fn evaluate(
        &mut self,
        at: u64,
        id: NameId,
        special: Special,
        call: &mut Call,
        depth: u32,
    ) -> Result<(), Fault> {
        let args: Vec<Value> = self.heap.items(call.args).map(|i| i.kept.clone()).unwrap_or_default();
        let text = |m: &Self, n: usize| args.get(n).and_then(|v| m.fold(*v)).map(literal::text_of);
        match special {
            Special::GetAttribute => self.get_attribute(at, &args, call)?,
            Special::Reconstructor | Special::NewObject => self.instantiate(at, special, &args, call, depth)?,
            Special::ModuleAndName => match (text(self, 0), text(self, 1)) {
                (Some(module), Some(name)) => self.resolve_to(at, &module, &name, call)?,
                _ => {
                    let shown = self.shown_call(call);
                    self.alert(&rules::DYNAMIC_IMPORT, at, format!("imports {shown}"));
                }
            },
            Special::AttributeGetter | Special::MethodCaller => {
                for n in 0..args.len().min(16) {
                    let attribute = text(self, n).unwrap_or_default();
                    if attribute.split('.').any(is_dangerous_attribute) {
                        self.report(&rules::DANGEROUS_CALL, at, id, call, "looks up a dangerous attribute");
                    }
                }
            }
            Special::Type if args.len() != 1 => {
                self.report(&rules::UNEXPECTED_CALL, at, id, call, "makes a class while loading");
            }
            Special::CallsFirst if depth < NESTED_CALLS_MAX => {
                let rest = args.iter().skip(1).find(|v| matches!(self.heap.object(**v), Some(Object::Tuple(_))));
                let rest = rest.copied().unwrap_or(Value::Unknown);
                if let Some(function) = args.first() {
                    self.nested_call(at, *function, rest, Value::None, How::Call, depth + 1)?;
                }
            }
            Special::LoadsTorch => self.loads_torch(at, id, &args, call),
            Special::LoadsBytes => {
                let constants = args.iter().filter(|v| matches!(v, Value::Bytes(_) | Value::Object(_)));
                self.loaded.extend(constants.take(LOADED_MAX.saturating_sub(self.loaded.len())));
            }
            Special::RebuildTensor => self.check_tensor(at, id, &args, call),
            Special::RebuildWithState => {
                if let Some(state) = args.last() {
                    self.check_hooks(at, call.callee, *state);
                }
            }
            Special::GetItem => {
                let typing = args.first().and_then(|v| self.heap.global(*v)).and_then(|id| self.names.get(id));
                if !typing.is_some_and(|n| matches!(n.canonical().0, "typing" | "collections.abc" | "builtins")) {
                    self.report(&rules::UNEXPECTED_CALL, at, id, call, "looks something up while loading");
                }
            }
            Special::Import => {
                if let Some(module) = text(self, 0) {
                    call.result = Some(self.evaluated(at, &module, "")?.1);
                }
            }
            Special::ImportKnown => match text(self, 0) {
                Some(module) => self.resolve_to(at, &module, "", call)?,
                None => self.report(&rules::DYNAMIC_IMPORT, at, id, call, "imports a computed name"),
            },
            Special::ResolveName => {
                if let Some(path) = text(self, 0) {
                    let (module, name) = path.split_once(':').or_else(|| path.rsplit_once('.')).unwrap_or((&path, ""));
                    call.result = Some(self.evaluated(at, module, name)?.1);
                }
            }
            Special::AddExtension => {
                if let (Some(module), Some(name), Some(Value::Int(number))) =
                    (text(self, 0), text(self, 1), args.get(2))
                {
                    let (_, object) = self.evaluated(at, &module, &name)?;
                    self.register_extension(*number, object);
                }
            }
            Special::TypeByName => {
                if self.names_code_type(call.args) && self.code_types.len() < CODE_TYPES_MAX {
                    let shown = self.shown_call(call);
                    self.code_types.push((at, call.args, shown));
                }
            }
            Special::MakeCode => self.check_code(at, call),
            Special::Allocates => {
                if matches!(args.first(), Some(Value::Int(n)) if *n > ALLOCATION_BYTES_MAX) {
                    self.report(&rules::UNEXPECTED_CALL, at, id, call, "reserves absurdly much memory");
                }
            }
            Special::Compute => self.check_codec(at, id, &args, call),
            Special::Partial | Special::ItemGetter | Special::Type | Special::CallsFirst => {}
        }
        Ok(())
    }

    /// `getattr`: the attribute of an import is an import itself.
    fn get_attribute(&mut self, at: u64, args: &[Value], call: &mut Call) -> Result<(), Fault> {
        let (Some(base), Some(attribute)) = (args.first(), args.get(1)) else { return Ok(()) };
        let Some(attribute) = self.fold(*attribute).map(literal::text_of) else {
            let shown = self.shown_call(call);
            self.alert(&rules::DYNAMIC_IMPORT, at, format!("looks up a computed attribute: {shown}"));
            return Ok(());
        };
        if let Some(name) = self.heap.global(*base).and_then(|id| self.names.get(id)) {
            let path = if name.name.is_empty() { attribute.clone() } else { format!("{}.{attribute}", name.name) };
            let module = name.module.clone();
            return self.resolve_to(at, &module, &path, call);
        }
        if is_special_method(&attribute) || attribute.contains('.') {
            let shown = self.shown_call(call);
            self.alert(&rules::DANGEROUS_CALL, at, format!("{shown}: looks up a dangerous attribute"));
        }
        Ok(())
    }

    /// A call that evaluates to the name `module.name`; that is judged like
    /// an import.
    fn resolve_to(&mut self, at: u64, module: &str, name: &str, call: &mut Call) -> Result<(), Fault> {
        let (id, object) = self.evaluated(at, module, name)?;
        call.result = Some(object);
        let found = self.names.get(id).map_or(Standing::Unknown, |n| n.standing);
        match found {
            Standing::Denied(reason) => self.report(&rules::DANGEROUS_CALL, at, id, call, reason),
            Standing::Unknown | Standing::Library => {
                self.report(&rules::UNKNOWN_GLOBAL, at, id, call, "looks up");
            }
            _ => {}
        }
        Ok(())
    }

    /// `copyreg._reconstructor(class, base, state)`, `copyreg.__newobj__`.
    fn instantiate(&mut self, at: u64, special: Special, args: &[Value], call: &Call, depth: u32) -> Result<(), Fault> {
        let Some(class) = args.first().copied() else {
            let shown = self.shown_call(call);
            self.alert(&rules::UNEXPECTED_CALL, at, format!("instance of nothing known: {shown}"));
            return Ok(());
        };
        if special == Special::Reconstructor {
            let base = args.get(1).and_then(|v| self.heap.global(*v)).and_then(|id| self.names.get(id));
            let known = base.is_some_and(|n| {
                matches!(n.standing, Standing::Rebuild | Standing::Class | Standing::Instance | Standing::Reference)
            });
            if !known {
                let shown = self.shown_call(call);
                self.alert(&rules::UNEXPECTED_CALL, at, format!("instance with an unusual base: {shown}"));
            }
        }
        if depth < NESTED_CALLS_MAX {
            self.nested_call(at, class, call.args, Value::None, How::New, depth + 1)?;
        }
        Ok(())
    }

    /// Tensors pickled outside `torch.save` hold a whole PyTorch file.
    fn loads_torch(&mut self, at: u64, id: NameId, args: &[Value], call: &Call) {
        const ZIP: &[u8] = b"PK\x03\x04";
        const LEGACY: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";
        let bytes = args.first().and_then(|v| self.fold_prefix(*v, 64)).unwrap_or_default();
        if bytes.starts_with(ZIP) || bytes.get(2..).is_some_and(|rest| rest.starts_with(LEGACY)) {
            if let Some(content) = args.first()
                && self.torch_files.len() < TORCH_FILES_MAX
            {
                self.torch_files.push(*content);
            }
            return;
        }
        self.report(&rules::DANGEROUS_CALL, at, id, call, "loads bytes that are no PyTorch file");
    }

    /// A tensor is rebuilt from a storage, with sizes from 0 on.
    fn check_tensor(&mut self, at: u64, id: NameId, args: &[Value], call: &Call) {
        let from_data = match args.first() {
            Some(Value::Object(_)) => args
                .first()
                .is_some_and(|v| matches!(self.heap.object(*v), Some(Object::Persistent(_) | Object::Call(_)))),
            Some(Value::Data | Value::Unknown) => true,
            _ => false,
        };
        let negative = |v: &Value| matches!(v, Value::Int(n) if *n < 0);
        let sizes = args
            .iter()
            .skip(1)
            .take(3)
            .any(|v| negative(v) || self.heap.items(*v).is_some_and(|items| items.kept.iter().any(negative)));
        if !from_data || sizes {
            self.report(&rules::UNEXPECTED_CALL, at, id, call, "rebuilds a tensor from impossible parts");
        }
    }

    /// Encoding bytes as Latin-1 text is how protocols below 3 store them;
    /// other codecs are gadgets.
    fn check_codec(&mut self, at: u64, id: NameId, args: &[Value], call: &Call) {
        if !self.names.get(id).is_some_and(|n| n.is("_codecs", "encode")) {
            return;
        }
        let codec = args.get(1).and_then(|v| self.fold(*v)).map(|c| c.to_ascii_lowercase());
        let plain: &[&[u8]] = &[b"latin1", b"latin-1", b"latin_1", b"iso-8859-1", b"utf-8", b"utf8", b"ascii"];
        if args.len() > 1 && !codec.is_some_and(|c| plain.contains(&c.as_slice())) {
            self.report(&rules::UNEXPECTED_CALL, at, id, call, "encodes with an unusual codec");
        }
    }

    /// Whether the first of `args` names a type that makes code, or nothing
    /// that can be known.
    pub(super) fn names_code_type(&self, args: Value) -> bool {
        let first = self.heap.items(args).and_then(|i| i.kept.first().copied());
        let name = first.and_then(|v| self.fold(v)).map(literal::text_of);
        name.is_none_or(|name| code::is_code_type(&name))
    }
}

fn is_special_method(attribute: &str) -> bool {
    attribute.len() > 4 && attribute.starts_with("__") && attribute.ends_with("__")
}

fn is_dangerous_attribute(attribute: &str) -> bool {
    is_special_method(attribute) || tables::is_dangerous_word(attribute)
}
