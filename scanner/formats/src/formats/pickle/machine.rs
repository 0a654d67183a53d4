//! The pickle machine: stack, marks and memo, executed on values that only
//! stand for what the real machine would build. Nothing is imported or called.
//!
//! It follows CPython's C implementation (`Modules/_pickle.c`) and goes on
//! where that one stops but `pickle.py` or a loader's subclass would not.

use std::collections::HashMap;

use weighbridge_types::Rule;

use crate::core::{FormatError, Input};
use crate::formats::pickle::heap::{Heap, How, Items, Object, Value};
use crate::formats::pickle::literal::{self, Literal};
use crate::formats::pickle::memo::Memo;
use crate::formats::pickle::names::{NAME_BYTES_MAX, NameId, Names};
use crate::formats::pickle::nested::{self, Payload};
use crate::formats::pickle::ops::{Head, Op, Operand, code};
use crate::formats::pickle::{Storage, rules};

/// Deepest stack.
const STACK_MAX: usize = 4_000_000;
/// Findings collected in one stream.
const ALERTS_MAX: usize = 400;
/// Storages listed.
const STORAGES_MAX: usize = 500_000;
/// Bytes of a STRING line held against its grammar.
const STRING_CHECKED_MAX: usize = 64 * 1024;
/// Largest memo number for which CPython can reserve its table.
const MEMO_INDEX_MAX: u64 = 1 << 31;
/// Payloads looked into.
const PAYLOADS_MAX: usize = 32;

/// Why the machine stops.
#[derive(Debug)]
pub enum Fault {
    /// Every unpickler stops here with an error.
    Broken(String),
    /// The content or a limit of ours ended it.
    Format(FormatError),
}

impl From<FormatError> for Fault {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Malformed { field, reason, .. } => Self::Broken(format!("{field}: {reason}")),
            error => Self::Format(error),
        }
    }
}

/// A finding to be.
#[derive(Debug)]
pub struct Alert {
    /// The rule that hit.
    pub rule: &'static Rule,
    /// Offset of the opcode.
    pub at: u64,
    /// The evidence.
    pub detail: String,
}

/// What the opcode just executed asks of the reader.
#[derive(Debug, PartialEq)]
pub enum Flow {
    /// Nothing.
    Next,
    /// STOP was reached.
    Stop,
    /// A joblib wrapper was completed; its array follows.
    Array(Value),
}

/// The machine.
pub struct Machine<'i> {
    /// The content the stream lies in.
    pub input: &'i Input,
    /// Objects made so far.
    pub heap: Heap,
    /// Names imported so far.
    pub names: Names,
    /// Findings so far.
    pub alerts: Vec<Alert>,
    /// Constants that may be pickles themselves.
    pub payloads: Vec<Payload>,
    /// Byte constants given to functions that load them.
    pub loaded: Vec<(u64, Literal)>,
    /// Byte constants that hold PyTorch files of their own.
    pub torch_files: Vec<Literal>,
    /// Storages of tensors.
    pub storages: Vec<Storage>,
    /// Highest protocol declared.
    pub protocol: Option<u8>,
    /// First error that a lenient machine survives.
    pub broken: Option<(u64, String)>,
    /// `_sklearn_version`
    pub sklearn_version: Option<String>,
    /// Look-ups of code types that nothing has used yet: where, the
    /// arguments, the call as evidence.
    pub code_types: Vec<(u64, Value, String)>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
    extensions: HashMap<i64, Value>,
    imports: HashMap<(Literal, Literal), Value>,
    version_next: bool,
}

impl<'i> Machine<'i> {
    /// A machine with an empty stack.
    #[must_use]
    pub fn new(input: &'i Input) -> Self {
        Self {
            input,
            heap: Heap::default(),
            names: Names::default(),
            alerts: Vec::new(),
            payloads: Vec::new(),
            loaded: Vec::new(),
            torch_files: Vec::new(),
            storages: Vec::new(),
            protocol: None,
            broken: None,
            sklearn_version: None,
            code_types: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            extensions: HashMap::new(),
            imports: HashMap::new(),
            version_next: false,
        }
    }

    /// Puts values on the stack about which nothing is known: a machine that
    /// comes upon a stream in its middle.
    pub fn assume_stack(&mut self, depth: usize) {
        self.stack.resize(depth, Value::Unknown);
    }

    /// Executes one opcode.
    ///
    /// # Errors
    /// [`Fault`] where the stream ends for good.
    pub fn step(&mut self, op: &Op) -> Result<Flow, Fault> {
        let at = op.at;
        match op.code {
            code::STOP => {
                self.pop()?;
                return Ok(Flow::Stop);
            }
            code::PROTO => self.proto(at, &op.operand),
            code::FRAME => self.frame(at, &op.operand),
            code::MARK => {
                if self.marks.len() >= STACK_MAX {
                    return Err(FormatError::limit("pickle_stack_max", STACK_MAX as u64).into());
                }
                self.marks.push(self.stack.len());
            }
            code::POP => {
                if self.stack.len() > self.fence() {
                    self.stack.pop();
                } else if self.marks.pop().is_none() {
                    return Err(underflow());
                }
            }
            code::POP_MARK => {
                self.pop_to_mark()?;
            }
            code::DUP => {
                let top = self.top()?;
                self.push(top)?;
            }
            code::NONE => self.push(Value::None)?,
            code::NEWTRUE => self.push(Value::Bool(true))?,
            code::NEWFALSE => self.push(Value::Bool(false))?,
            code::INT | code::LONG | code::BININT | code::BININT1 | code::BININT2 | code::LONG1 | code::LONG4 => {
                let value = self.number(op)?;
                self.push(value)?;
            }
            code::FLOAT | code::BINFLOAT => {
                let Operand::Float(value) = op.operand else { return Err(bad_operand()) };
                self.push(Value::Float(value))?;
            }
            code::STRING
            | code::BINSTRING
            | code::SHORT_BINSTRING
            | code::UNICODE
            | code::BINUNICODE
            | code::SHORT_BINUNICODE
            | code::BINUNICODE8 => {
                let literal = self.literal(op)?;
                self.push(Value::Str(literal))?;
            }
            code::BINBYTES | code::SHORT_BINBYTES | code::BINBYTES8 | code::BYTEARRAY8 => {
                let literal = self.literal(op)?;
                self.push(Value::Bytes(literal))?;
            }
            code::NEXT_BUFFER => self.push(Value::Data)?,
            code::READONLY_BUFFER => {
                self.top()?;
            }
            code::EMPTY_TUPLE => self.push_tuple(&[])?,
            code::TUPLE1 => self.tuple_of(1)?,
            code::TUPLE2 => self.tuple_of(2)?,
            code::TUPLE3 => self.tuple_of(3)?,
            code::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push_tuple(&items)?;
            }
            code::EMPTY_LIST => self.push_new(Object::List(Items::default()))?,
            code::EMPTY_DICT => self.push_new(Object::Dict(Items::default()))?,
            code::EMPTY_SET => self.push_new(Object::Set(Items::default()))?,
            code::LIST => {
                let items = self.pop_to_mark()?;
                let items = self.heap.keep_some(&items);
                self.push_new(Object::List(items))?;
            }
            code::FROZENSET => {
                let items = self.pop_to_mark()?;
                let items = self.heap.keep_some(&items);
                self.push_new(Object::Set(items))?;
            }
            code::DICT => {
                let items = self.pop_to_mark()?;
                self.push_new(Object::Dict(Items::default()))?;
                self.set_items(at, &items)?;
            }
            code::APPEND => {
                let item = self.pop()?;
                self.append(at, &[item])?;
            }
            code::APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(at, &items)?;
            }
            code::ADDITEMS => {
                let items = self.pop_to_mark()?;
                self.append(at, &items)?;
            }
            code::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(at, &[key, value])?;
            }
            code::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(at, &items)?;
            }
            code::PUT | code::BINPUT | code::LONG_BINPUT => {
                let top = self.top()?;
                let index = index(&op.operand)?;
                if index > MEMO_INDEX_MAX {
                    self.survive(at, format!("memo number {index} needs more memory than there is"));
                }
                self.memo.put(index, top);
            }
            code::MEMOIZE => {
                let top = self.top()?;
                self.memo.memoize(top);
            }
            code::GET | code::BINGET | code::LONG_BINGET => {
                let index = index(&op.operand)?;
                let value = self.memo.get(index);
                if value.is_none() {
                    self.survive(at, format!("memo entry {index} was never set"));
                }
                self.push(value.unwrap_or(Value::Unknown))?;
            }
            code::GLOBAL => {
                let Operand::Lines(module, name) = &op.operand else { return Err(bad_operand()) };
                let value = self.import(at, &literal::text_of(module.clone()), &literal::text_of(name.clone()))?;
                self.push(value)?;
            }
            code::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let value = self.stack_global(at, module, name)?;
                self.push(value)?;
            }
            code::EXT1 | code::EXT2 | code::EXT4 => {
                let value = self.extension(at, &op.operand)?;
                self.push(value)?;
            }
            code::PERSID => {
                let Operand::Line(_) = op.operand else { return Err(bad_operand()) };
                let value = self.heap.add(Object::Persistent(Value::Unknown))?;
                self.push(value)?;
            }
            code::BINPERSID => {
                let id = self.pop()?;
                self.storage(id);
                let value = self.heap.add(Object::Persistent(id))?;
                self.push(value)?;
            }
            code::REDUCE => {
                let args = self.pop()?;
                let callee = self.pop()?;
                let value = self.call(at, callee, args, Value::None, How::Call)?;
                self.push(value)?;
            }
            code::NEWOBJ => {
                let args = self.pop()?;
                let class = self.pop()?;
                let value = self.call(at, class, args, Value::None, How::New)?;
                self.push(value)?;
            }
            code::NEWOBJ_EX => {
                let keywords = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                let value = self.call(at, class, args, keywords, How::New)?;
                self.push(value)?;
            }
            code::INST => {
                let Operand::Lines(module, name) = &op.operand else { return Err(bad_operand()) };
                let items = self.pop_to_mark()?;
                let class = self.import(at, &literal::text_of(module.clone()), &literal::text_of(name.clone()))?;
                let args = self.heap.tuple(&items)?;
                let value = self.call(at, class, args, Value::None, How::Instance)?;
                self.push(value)?;
            }
            code::OBJ => {
                let items = self.pop_to_mark()?;
                let (class, args) = items.split_first().ok_or_else(underflow)?;
                let args = self.heap.tuple(args)?;
                let value = self.call(at, *class, args, Value::None, How::Instance)?;
                self.push(value)?;
            }
            code::BUILD => {
                let state = self.pop()?;
                let target = self.top()?;
                return self.build(at, target, state);
            }
            other => return Err(Fault::Broken(format!("0x{other:02x} is no opcode"))),
        }
        Ok(Flow::Next)
    }

    /// Notes an error that only some unpicklers stop at.
    pub fn survive(&mut self, at: u64, what: String) {
        if self.broken.is_none() {
            self.broken = Some((at, what));
        }
    }

    /// Notes a finding.
    pub fn alert(&mut self, rule: &'static Rule, at: u64, detail: String) {
        // A flood of lesser findings must not keep out the one that counts.
        if self.alerts.len() >= ALERTS_MAX
            && let Some(weakest) = self.alerts.iter().position(|a| a.rule.verdict < rule.verdict)
        {
            self.alerts.swap_remove(weakest);
        }
        if self.alerts.len() < ALERTS_MAX {
            self.alerts.push(Alert { rule, at, detail });
        }
    }

    /// The object a stream's GLOBAL pushes.
    ///
    /// # Errors
    /// Limits.
    pub fn import(&mut self, at: u64, module: &str, name: &str) -> Result<Value, Fault> {
        let id = self.names.intern(module, name, at)?;
        self.import_id(id)
    }

    fn import_id(&mut self, id: NameId) -> Result<Value, Fault> {
        if let Some(entry) = self.names.get_mut(id) {
            entry.imported = true;
            if let Some(object) = entry.object {
                return Ok(object);
            }
        }
        let object = self.heap.add_notable(Object::Global(id))?;
        if let Some(entry) = self.names.get_mut(id) {
            entry.object = Some(object);
        }
        Ok(object)
    }

    /// The object of a name that a call evaluates to.
    ///
    /// # Errors
    /// Limits.
    pub fn evaluated(&mut self, at: u64, module: &str, name: &str) -> Result<(NameId, Value), Fault> {
        let id = self.names.intern(module, name, at)?;
        if let Some(object) = self.names.get(id).and_then(|n| n.object) {
            return Ok((id, object));
        }
        let object = self.heap.add_notable(Object::Global(id))?;
        if let Some(entry) = self.names.get_mut(id) {
            entry.object = Some(object);
        }
        Ok((id, object))
    }

    fn stack_global(&mut self, at: u64, module: Value, name: Value) -> Result<Value, Fault> {
        if let (Value::Str(m), Value::Str(n)) = (module, name) {
            if let Some(known) = self.imports.get(&(m, n)) {
                return Ok(*known);
            }
            let texts = (m.text(self.input, NAME_BYTES_MAX), n.text(self.input, NAME_BYTES_MAX));
            let (Some((module, _)), Some((name, _))) = texts else {
                return Err(FormatError::limit("backward_reads_max", 0).into());
            };
            let value = self.import(at, &module, &name)?;
            self.imports.insert((m, n), value);
            return Ok(value);
        }
        if matches!(module, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_))
            || matches!(name, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_))
        {
            return Err(Fault::Broken("STACK_GLOBAL without two strings".into()));
        }
        let computed = (self.fold(module), self.fold(name));
        let shown = format!("{}.{}", self.shown(module), self.shown(name));
        if let (Some(module), Some(name)) = computed {
            let (module, name) = (literal::text_of(module), literal::text_of(name));
            self.alert(&rules::DYNAMIC_IMPORT, at, format!("imports {module}.{name}, computed as {shown}"));
            return self.import(at, &module, &name);
        }
        self.alert(&rules::DYNAMIC_IMPORT, at, format!("imports {shown}"));
        Ok(Value::Unknown)
    }

    fn extension(&mut self, at: u64, operand: &Operand) -> Result<Value, Fault> {
        let Operand::Int(number) = *operand else { return Err(bad_operand()) };
        if number <= 0 {
            return Err(Fault::Broken(format!("extension code {number}")));
        }
        if let Some(known) = self.extensions.get(&number) {
            return Ok(*known);
        }
        self.alert(&rules::EXTENSION_CODE, at, format!("imports extension {number} of the registry"));
        Ok(self.heap.add_notable(Object::Persistent(Value::Unknown))?)
    }

    /// Enters `object` in the registry of extensions.
    pub fn register_extension(&mut self, number: i64, object: Value) {
        if self.extensions.len() < 4096 {
            self.extensions.insert(number, object);
        }
    }

    fn proto(&mut self, at: u64, operand: &Operand) {
        let Operand::Int(version) = *operand else { return };
        if let Ok(version @ 0..=5) = u8::try_from(version) {
            self.protocol = Some(self.protocol.map_or(version, |p| p.max(version)));
        } else {
            self.survive(at, format!("protocol {version} does not exist"));
        }
    }

    /// The C unpickler only asks whether so many bytes follow.
    fn frame(&mut self, at: u64, operand: &Operand) {
        let Operand::Int(len) = *operand else { return };
        let left = self.input.len().saturating_sub(at + 9);
        if u64::try_from(len).unwrap_or(u64::MAX) > left {
            self.survive(at, format!("a frame of {len} bytes where {left} are left"));
        }
    }

    fn number(&mut self, op: &Op) -> Result<Value, Fault> {
        match (&op.operand, op.code) {
            (Operand::Int(n), code::INT) => Ok(self.maybe_bool(op.at, *n)),
            (Operand::Int(n), _) => Ok(Value::Int(*n)),
            (Operand::Big(digits), _) => Ok(self.heap.add(Object::Number(digits.as_str().into()))?),
            _ => Err(bad_operand()),
        }
    }

    /// `I00` and `I01` are booleans.
    fn maybe_bool(&self, at: u64, n: i64) -> Value {
        match (n, self.input.read_vec(at + 1, 3).unwrap_or_default().as_slice()) {
            (0, b"00\n") => Value::Bool(false),
            (1, b"01\n") => Value::Bool(true),
            _ => Value::Int(n),
        }
    }

    /// Text and bytes: kept by position, looked at for words and payloads.
    fn literal(&mut self, op: &Op) -> Result<Literal, Fault> {
        let Operand::Span { start, len, head } = op.operand else { return Err(bad_operand()) };
        let is_line = matches!(op.code, code::STRING | code::UNICODE);
        let mut hook = false;
        if op.code == code::STRING
            && let Some(why) = self.bad_string(start, len)
        {
            self.survive(op.at, why);
        }
        if is_line && len <= 200 {
            let text = Literal::new(op.at, false).bytes(self.input, 200).unwrap_or_default().0;
            hook = literal::is_hook(&text);
            self.version_word(&text);
        } else if len <= 24 {
            hook = literal::is_hook(head.bytes());
            self.version_word(head.bytes());
        }
        self.notice_payload(op, start, len, &head);
        Ok(Literal::new(op.at, hook))
    }

    /// Why STRING would not accept its line, if so.
    fn bad_string(&self, start: u64, len: u64) -> Option<String> {
        let want = usize::try_from(len).unwrap_or(usize::MAX).min(STRING_CHECKED_MAX);
        let line = self.input.read_vec(start, want).unwrap_or_default();
        if line.len() as u64 != len {
            return None;
        }
        if !literal::is_quoted(&line) {
            return Some("STRING without quotes".into());
        }
        (!literal::has_valid_escapes(&line)).then(|| "STRING with a broken escape".into())
    }

    fn notice_payload(&mut self, op: &Op, start: u64, len: u64, head: &Head) {
        if self.payloads.len() < PAYLOADS_MAX
            && let Some(kind) = nested::kind(head.bytes(), len)
        {
            self.payloads.push(Payload { at: op.at, start, len, kind });
        }
    }

    /// scikit-learn writes its version into every estimator's state.
    fn version_word(&mut self, text: &[u8]) {
        if std::mem::take(&mut self.version_next) && self.sklearn_version.is_none() && !text.is_empty() {
            self.sklearn_version = Some(literal::text_of(text.to_vec()));
        }
        self.version_next = text == b"_sklearn_version";
    }

    /// A persistent id as PyTorch writes it.
    fn storage(&mut self, id: Value) {
        let Some(items) = self.heap.items(id) else { return };
        let &[kind, class, key, location, numel, ..] = items.kept.as_slice() else { return };
        if self.fold(kind).as_deref() != Some(b"storage") || self.storages.len() >= STORAGES_MAX {
            return;
        }
        let dtype = self.heap.global(class).and_then(|id| self.names.get(id)).map(|n| n.full());
        let text = |value| match value {
            Value::Int(n) => n.to_string(),
            value => self.fold(value).map(literal::text_of).unwrap_or_default(),
        };
        let (key, location) = (text(key), text(location));
        let numel = match numel {
            Value::Int(n) => u64::try_from(n).unwrap_or(u64::MAX),
            _ => u64::MAX,
        };
        self.storages.push(Storage { dtype: dtype.unwrap_or_default(), key, location, numel });
    }

    fn fence(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        if self.stack.len() >= STACK_MAX {
            return Err(FormatError::limit("pickle_stack_max", STACK_MAX as u64).into());
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_new(&mut self, object: Object) -> Result<(), Fault> {
        let value = self.heap.add(object)?;
        self.push(value)
    }

    fn push_tuple(&mut self, items: &[Value]) -> Result<(), Fault> {
        let value = self.heap.tuple(items)?;
        self.push(value)
    }

    fn tuple_of(&mut self, n: usize) -> Result<(), Fault> {
        let at = self.stack.len().checked_sub(n).filter(|at| *at >= self.fence()).ok_or_else(underflow)?;
        let items = self.stack.split_off(at);
        self.push_tuple(&items)
    }

    fn top(&self) -> Result<Value, Fault> {
        if self.stack.len() <= self.fence() {
            return Err(underflow());
        }
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| Fault::Broken("no MARK to go back to".into()))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// The value below a list of items, which an opcode fills.
    pub(super) fn target(&self) -> Result<Value, Fault> {
        self.top()
    }
}

fn index(operand: &Operand) -> Result<u64, Fault> {
    match operand {
        Operand::Int(n) => u64::try_from(*n).map_err(|_| bad_operand()),
        _ => Err(bad_operand()),
    }
}

fn underflow() -> Fault {
    Fault::Broken("the stack is empty".into())
}

fn bad_operand() -> Fault {
    Fault::Broken("an operand of the wrong kind".into())
}
