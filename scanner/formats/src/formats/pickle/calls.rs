//! What a call means: judged by what is called and, where that decides, by
//! the arguments.

use crate::formats::pickle::heap::{Call, How, Object, Value};
use crate::formats::pickle::machine::{Fault, Machine};
use crate::formats::pickle::names::NameId;
use crate::formats::pickle::special::Special;
use crate::formats::pickle::tables::{self, Standing};
use crate::formats::pickle::{code, literal, rules};

/// Findings about calls of one name.
const REPORTS_PER_NAME_MAX: u32 = 3;
/// Calls inside the arguments of calls, evaluated.
const NESTED_CALLS_MAX: u32 = 8;
/// Look-ups of code types remembered.
const CODE_TYPES_MAX: usize = 1024;
/// Bytes that no honest constructor reserves.
const ALLOCATION_BYTES_MAX: i64 = 1 << 28;

impl Machine<'_> {
    /// Judges `callee(*args, **keywords)` and gives what stands for its
    /// result.
    ///
    /// # Errors
    /// Limits.
    pub fn call(&mut self, at: u64, callee: Value, args: Value, keywords: Value, how: How) -> Result<Value, Fault> {
        self.nested_call(at, callee, args, keywords, how, 0)
    }

    fn nested_call(
        &mut self,
        at: u64,
        callee: Value,
        args: Value,
        keywords: Value,
        how: How,
        depth: u32,
    ) -> Result<Value, Fault> {
        let mut call = Call { callee, args, keywords, how, result: None, state: Value::None };
        let target = self.heap.resolved(callee);
        let mut notable = true;
        match self.heap.object(target) {
            Some(Object::Global(id)) => notable = self.call_name(at, *id, &mut call, depth)?,
            Some(Object::Call(inner)) => {
                let inner = (**inner).clone();
                self.call_result(at, &inner, &mut call, depth)?;
            }
            Some(Object::Persistent(_)) => {
                let shown = self.shown_call(&call);
                self.alert(&rules::INDIRECT_CALL, at, format!("calls what a persistent id stands for: {shown}"));
            }
            _ if matches!(target, Value::Unknown | Value::Data) => {
                let shown = self.shown_call(&call);
                self.alert(&rules::UNEXPECTED_CALL, at, format!("calls something unknown: {shown}"));
            }
            _ => self.survive(at, format!("{} cannot be called", self.shown(target))),
        }
        Ok(self.heap.add_call(call, notable)?)
    }

    /// A call of an imported name. Tells whether the result matters later.
    fn call_name(&mut self, at: u64, id: NameId, call: &mut Call, depth: u32) -> Result<bool, Fault> {
        let Some(name) = self.names.get(id) else { return Ok(true) };
        let (standing, special) = (name.standing, name.special);
        let instance = call.how == How::New;
        match standing {
            Standing::Rebuild => {}
            Standing::Class if call.how == How::Call && acts_when_made(&name.name) => {
                self.report(&rules::UNEXPECTED_CALL, at, id, call, "constructs a class that acts when it is made");
            }
            Standing::Class => {}
            Standing::Instance if call.how == How::Call && self.takes_more_than_numbers(call) => {
                self.report(
                    &rules::UNEXPECTED_CALL,
                    at,
                    id,
                    call,
                    "constructs a class, where picklers only rebuild it",
                );
            }
            Standing::Instance => {}
            // `object.__new__(class)`: only classes come this far.
            Standing::Reference if instance => {}
            Standing::Reference => {
                self.report(&rules::UNEXPECTED_CALL, at, id, call, "calls while loading");
            }
            Standing::Pure => self.report(&rules::UNEXPECTED_CALL, at, id, call, "computes while loading"),
            Standing::Code => self.report(&rules::EMBEDDED_CODE, at, id, call, "makes code"),
            Standing::Denied(reason) => self.report(&rules::DANGEROUS_CALL, at, id, call, reason),
            Standing::Library if !instance && !tables::is_class_name(last(&name.name)) => {
                self.report(&rules::DANGEROUS_CALL, at, id, call, "calls a function of the standard library");
            }
            Standing::Library | Standing::Unknown => {
                let what = if instance { "makes an instance of" } else { "calls" };
                self.report(&rules::UNKNOWN_GLOBAL, at, id, call, what);
            }
        }
        if let Some(special) = special {
            self.evaluate(at, id, special, call, depth)?;
            return Ok(true);
        }
        if standing == Standing::Code {
            self.check_function(at, call);
        }
        Ok(is_joblib_wrapper(self.names.get(id).map_or("", |n| n.name.as_str())) || standing == Standing::Code)
    }

    /// A call of what another call gave.
    fn call_result(&mut self, at: u64, inner: &Call, call: &mut Call, depth: u32) -> Result<(), Fault> {
        let made_by = self.heap.global(inner.callee).and_then(|id| self.names.get(id));
        let (special, standing) = (made_by.and_then(|n| n.special), made_by.map(|n| n.standing));
        match special {
            Some(Special::TypeByName) => {
                let makes_code = self.names_code_type(inner.args);
                self.code_types.retain(|(_, name, _)| *name != inner.args);
                if makes_code {
                    self.check_code(at, call);
                }
                return Ok(());
            }
            Some(Special::Partial) if depth < NESTED_CALLS_MAX => {
                if let Some((function, _)) = self.first_arg(inner) {
                    self.nested_call(at, function, call.args, Value::None, How::Call, depth + 1)?;
                }
            }
            Some(Special::Reconstructor | Special::NewObject | Special::Compute) => {
                let shown = self.shown_call(call);
                self.alert(&rules::UNEXPECTED_CALL, at, format!("calls an object while loading: {shown}"));
                return Ok(());
            }
            _ => {}
        }
        // An instance of a class that came as code, or of a class in doubt,
        // is no more doubtful than that.
        if call.how == How::New && standing == Some(Standing::Code) {
            return Ok(());
        }
        let shown = self.shown_call(call);
        if standing == Some(Standing::Code) {
            self.alert(&rules::DANGEROUS_CODE, at, format!("runs code that it carries: {shown}"));
        } else if call.how != How::New {
            self.alert(&rules::INDIRECT_CALL, at, format!("calls the result of a call: {shown}"));
        } else {
            self.alert(&rules::UNEXPECTED_CALL, at, format!("makes an instance of the result of a call: {shown}"));
        }
        Ok(())
    }

    fn evaluate(&mut self, at: u64, id: NameId, special: Special, call: &mut Call, depth: u32) -> Result<(), Fault> {
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
                if let Some(Value::Bytes(bytes) | Value::Str(bytes)) = args.first().map(|v| self.heap.resolved(*v))
                    && self.loaded.len() < 64
                {
                    self.loaded.push((at, bytes));
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
            if let Some(Value::Bytes(content)) = args.first()
                && self.torch_files.len() < 256
            {
                self.torch_files.push(*content);
            }
            return;
        }
        self.report(&rules::DANGEROUS_CALL, at, id, call, "loads bytes that are no PyTorch file");
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

    /// Reports a call of `id`, a few times per name.
    pub fn report(&mut self, rule: &'static weighbridge_types::Rule, at: u64, id: NameId, call: &Call, why: &str) {
        let Some(name) = self.names.get_mut(id) else { return };
        let max = if rule.verdict == weighbridge_types::Verdict::Malicious { REPORTS_PER_NAME_MAX } else { 1 };
        name.reported += 1;
        if name.reported > max {
            return;
        }
        let full = name.full();
        let shown = self.shown_call(call);
        let named = if shown.contains(&full) { String::new() } else { format!(" ({full})") };
        self.alert(rule, at, format!("{shown}{named}: {why}"));
    }

    /// Whether the first of `args` names a type that makes code, or nothing
    /// that can be known.
    fn names_code_type(&self, args: Value) -> bool {
        let first = self.heap.items(args).and_then(|i| i.kept.first().copied());
        let name = first.and_then(|v| self.fold(v)).map(literal::text_of);
        name.is_none_or(|name| code::is_code_type(&name))
    }

    /// Whether a constructor gets anything but numbers and plain containers.
    fn takes_more_than_numbers(&self, call: &Call) -> bool {
        let Some(items) = self.heap.items(call.args) else { return true };
        !items.whole()
            || items.kept.iter().any(|v| match v {
                Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
                Value::Object(_) => !matches!(
                    self.heap.object(*v),
                    Some(Object::Tuple(_) | Object::List(_) | Object::Dict(_) | Object::Set(_) | Object::Number(_))
                ),
                Value::Str(_) | Value::Bytes(_) | Value::Data | Value::Unknown => true,
            })
    }

    /// The first argument of a call, and how many there are.
    fn first_arg(&self, call: &Call) -> Option<(Value, u64)> {
        let items = self.heap.items(call.args)?;
        Some((items.kept.first().copied()?, items.total))
    }

    /// The name of the class that a value is an instance of, as far as the
    /// call that made it tells.
    #[must_use]
    pub fn class_of(&self, value: Value) -> Option<NameId> {
        let call = self.heap.call(value)?;
        let id = self.heap.global(call.callee)?;
        match self.names.get(id)?.special {
            Some(Special::Reconstructor | Special::NewObject) => {
                self.heap.global(self.heap.items(call.args)?.kept.first().copied()?)
            }
            _ => Some(id),
        }
    }
}

/// Joblib's stand-in for an array that follows in the file.
#[must_use]
pub fn is_joblib_wrapper(name: &str) -> bool {
    matches!(name, "NumpyArrayWrapper" | "NDArrayWrapper" | "ZNDArrayWrapper")
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Classes that do something to the outside world when constructed.
fn acts_when_made(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "Reader",
        "Writer",
        "File",
        "Importer",
        "Exporter",
        "Process",
        "Thread",
        "Popen",
        "Server",
        "Client",
        "Session",
        "Connection",
        "Socket",
        "Downloader",
        "Runner",
        "Executor",
        "Launcher",
        "Worker",
        "Pool",
        "Finder",
        "Compiler",
        "Database",
        "Logger",
        "Daemon",
        "Proxy",
        "Interpreter",
        "Shell",
        "Command",
        "Job",
        "Agent",
        "Hub",
        "Api",
        "Installer",
        "Repository",
        "DataSource",
        "Stream",
        "Store",
    ];
    ENDINGS.iter().any(|e| last(name).ends_with(e))
}

fn is_special_method(attribute: &str) -> bool {
    attribute.len() > 4 && attribute.starts_with("__") && attribute.ends_with("__")
}

fn is_dangerous_attribute(attribute: &str) -> bool {
    is_special_method(attribute) || tables::is_dangerous_word(attribute)
}
