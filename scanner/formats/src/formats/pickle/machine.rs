//! The pickle machine: stack, marks and memo, executed on values that only
//! stand for what the real machine would build. Nothing is imported or called.
//!
//! It follows CPython's C implementation (`Modules/_pickle.c`) and goes on
//! where that one stops but `pickle.py` or a loader's subclass would not.

use std::collections::HashMap;

use weighbridge_types::Rule;

use crate::core::{FormatError, Input};
use crate::formats::pickle::Storage;
use crate::formats::pickle::heap::{Heap, How, Items, Object, Value};
use crate::formats::pickle::literal::{self, Literal};
use crate::formats::pickle::memo::Memo;
use crate::formats::pickle::names::Names;
use crate::formats::pickle::nested::Payload;
use crate::formats::pickle::ops::{Op, Operand, code};

/// Deepest stack.
const STACK_MAX: usize = 4_000_000;
/// Findings collected in one stream.
const ALERTS_MAX: usize = 400;
/// Largest memo number for which CPython can reserve its table.
const MEMO_INDEX_MAX: u64 = 1 << 31;

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
    pub loaded: Vec<Value>,
    /// Byte constants that hold PyTorch files of their own.
    pub torch_files: Vec<Value>,
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
    pub(super) extensions: HashMap<i64, Value>,
    pub(super) imports: HashMap<(Literal, Literal), Value>,
    pub(super) version_next: bool,
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
                let value = match self.persistent_class(id) {
                    Some(class) => class,
                    None => {
                        self.storage(id);
                        self.heap.add(Object::Persistent(id))?
                    }
                };
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
        let mut items = self.stack.split_off(at);
        items.iter_mut().for_each(|item| *item = self.heap.live(*item));
        self.push_tuple(&items)
    }

    fn top(&self) -> Result<Value, Fault> {
        if self.stack.len() <= self.fence() {
            return Err(underflow());
        }
        self.stack.last().map(|top| self.heap.live(*top)).ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| Fault::Broken("no MARK to go back to".into()))?;
        let mut items = self.stack.split_off(mark.min(self.stack.len()));
        items.iter_mut().for_each(|item| *item = self.heap.live(*item));
        Ok(items)
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

/// An operand that the opcode cannot have.
pub(super) fn bad_operand() -> Fault {
    Fault::Broken("an operand of the wrong kind".into())
}
