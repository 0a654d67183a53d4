use std::rc::Rc;

use super::calls::Danger;
use super::decode::{Decoder, Encoding};
use super::rules;
use super::value::{self, TEXT_BYTES_MAX, Value};
use crate::core::{FormatError, Inspection};

/// Most steps waiting: nesting, in other words.
const TASKS_MAX: usize = 400_000;
/// Most elements kept of one pairlist.
const ITEMS_MAX: usize = 64;
/// Findings of one kind.
const FINDINGS_MAX: u32 = 16;
/// Names kept for references.
const REFERENCES_MAX: usize = 2_000_000;

const HAS_ATTRIBUTES: u32 = 1 << 9;
const HAS_TAG: u32 = 1 << 10;

/// What is still to be done. Every `Item` leaves one value.
enum Task {
    Item,
    /// Items that are dropped.
    Items(u64),
    Drop,
    Push(Value),
    Symbol,
    /// Attributes of a vector: dropped, but for the class.
    Attributes,
    Leave(Inside),
    Pair(Box<Pair>),
    /// Code of a bytecode object was read; its constants follow.
    Constants,
    Constant(u64),
    /// An expression inside bytecode, after its type.
    Language(i32),
    /// An expression inside bytecode, with its type.
    NextLanguage,
}

/// What the walk is inside of.
#[derive(Clone, Copy)]
enum Inside {
    Environment,
    Bytecode,
}

/// A cell of a pairlist and those after it.
struct Pair {
    kind: u8,
    stage: Stage,
    tag: Option<Value>,
    items: Vec<(Option<Rc<str>>, Value)>,
    at: u64,
}

/// What comes next of a cell.
#[derive(Clone, Copy)]
enum Stage {
    Tag { follows: bool },
    Head { tagged: bool },
    Tail,
    Done,
}

/// Walks the items of one object.
pub struct Walk<'a> {
    decoder: Decoder<'a>,
    references: Vec<Option<Rc<str>>>,
    tasks: Vec<Task>,
    values: Vec<Value>,
    promises: u32,
    closures: u32,
    environments: u32,
    bytecodes: u32,
    reported: [u32; 8],
    class: Option<String>,
}

impl<'a> Walk<'a> {
    pub fn new(decoder: Decoder<'a>) -> Self {
        Self {
            decoder,
            references: Vec::new(),
            tasks: Vec::new(),
            values: Vec::new(),
            promises: 0,
            closures: 0,
            environments: 0,
            bytecodes: 0,
            reported: [0; 8],
            class: None,
        }
    }

    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    pub fn encoding(&self) -> Encoding {
        self.decoder.encoding()
    }

    /// Reads one object whole.
    pub fn object(&mut self, ctx: &mut Inspection<'_>) -> Result<(), FormatError> {
        self.tasks.push(Task::Item);
        let result = self.run(ctx);
        if let Some(class) = self.class.take() {
            ctx.fact("class", class);
        }
        result
    }

    fn run(&mut self, ctx: &mut Inspection<'_>) -> Result<(), FormatError> {
        while let Some(task) = self.tasks.pop() {
            ctx.work(1)?;
            if self.tasks.len() > TASKS_MAX {
                return Err(FormatError::limit("r_depth_max", TASKS_MAX as u64));
            }
            match task {
                Task::Item => self.item(ctx)?,
                Task::Items(0) => {}
                Task::Items(n) => self.tasks.extend([Task::Items(n - 1), Task::Drop, Task::Item]),
                Task::Drop => {
                    self.values.pop();
                }
                Task::Push(value) => self.values.push(value),
                Task::Symbol => {
                    let name = match self.values.pop() {
                        Some(Value::Text(name)) => name,
                        _ => return Err(FormatError::malformed("symbol", self.position(), "has no name")),
                    };
                    self.refer(Some(Rc::clone(&name)))?;
                    self.values.push(Value::Symbol(name));
                }
                Task::Attributes => self.attributes(),
                Task::Leave(Inside::Environment) => self.environments -= 1,
                Task::Leave(Inside::Bytecode) => self.bytecodes -= 1,
                Task::Pair(pair) => self.pair(ctx, pair)?,
                Task::Constants => {
                    let n = self.decoder.int("constants")?;
                    let n = u64::try_from(n)
                        .map_err(|_| FormatError::malformed("constants", self.position(), "negative count"))?;
                    self.tasks.push(Task::Constant(self.decoder.items(n, "constants")?));
                }
                Task::Constant(0) => {}
                Task::Constant(n) => {
                    self.tasks.push(Task::Constant(n - 1));
                    self.tasks.push(Task::Drop);
                    match self.decoder.int("constant type")? {
                        21 => self.tasks.extend([
                            Task::Push(Value::Other("bytecode")),
                            Task::Constants,
                            Task::Drop,
                            Task::Item,
                        ]),
                        kind @ (2 | 6 | 239 | 240 | 243 | 244) => self.tasks.push(Task::Language(kind)),
                        _ => self.tasks.push(Task::Item),
                    }
                }
                Task::NextLanguage => {
                    let kind = self.decoder.int("expression type")?;
                    self.tasks.push(Task::Language(kind));
                }
                Task::Language(kind) => self.language(kind)?,
            }
        }
        Ok(())
    }

    /// `ReadItem` of R's `serialize.c`.
    fn item(&mut self, ctx: &mut Inspection<'_>) -> Result<(), FormatError> {
        let at = self.position();
        let flags = self.decoder.int("item flags")?.cast_unsigned();
        let kind = flags.to_le_bytes()[0];
        let then_attributes = |walk: &mut Self| {
            if flags & HAS_ATTRIBUTES != 0 {
                walk.tasks.extend([Task::Attributes, Task::Item]);
            }
        };
        match kind {
            0 | 254 => self.values.push(Value::Null),
            251 | 252 => self.values.push(Value::Unbound),
            241 | 242 | 250 | 253 => self.values.push(Value::Other("environment")),
            255 => self.reference(flags, at)?,
            1 => self.tasks.extend([Task::Symbol, Task::Item]),
            247..=249 => self.names(kind)?,
            2 | 3 | 5 | 6 | 17 => self.open_pair(kind, flags, at)?,
            4 => {
                self.decoder.int("environment lock")?;
                self.refer(None)?;
                self.environments += 1;
                let leave = Task::Leave(Inside::Environment);
                self.tasks.extend([Task::Push(Value::Other("environment")), leave, Task::Items(4)]);
            }
            7 | 8 => {
                let len = self.decoder.int("builtin length")?;
                let name = self.decoder.text(len, TEXT_BYTES_MAX, "builtin name")?;
                self.values.push(Value::Symbol(name.into()));
            }
            9 => {
                let text = self.character()?;
                self.values.push(Value::Text(text));
                then_attributes(self);
            }
            10 | 13 | 14 | 15 | 24 => {
                let n = self.decoder.len("vector length")?;
                let (width, lines) = match kind {
                    14 => (8, 1),
                    15 => (16, 2),
                    24 => (1, 1),
                    _ => (4, 1),
                };
                let steps = self.decoder.numbers(n, width, lines, "vector")?;
                ctx.work(steps)?;
                self.values.push(Value::Other("numbers"));
                then_attributes(self);
            }
            16 => {
                let first = self.strings(ctx)?;
                self.values.push(first.map_or(Value::Other("strings"), Value::Text));
                then_attributes(self);
            }
            19 | 20 => {
                let n = self.decoder.len("list length")?;
                let n = self.decoder.items(n, "list length")?;
                then_attributes(self);
                self.tasks.extend([Task::Push(Value::Other("list")), Task::Items(n)]);
            }
            21 => {
                if self.tasks.is_empty() {
                    self.report(ctx, 0, &rules::BYTECODE, at, "the object is bytecode");
                }
                self.decoder.int("bytecode repetitions")?;
                self.bytecodes += 1;
                then_attributes(self);
                let leave = Task::Leave(Inside::Bytecode);
                self.tasks.extend([
                    Task::Push(Value::Other("bytecode")),
                    leave,
                    Task::Constants,
                    Task::Drop,
                    Task::Item,
                ]);
            }
            22 => {
                let rule = if self.tasks.is_empty() { &rules::POINTER_ALONE } else { &rules::POINTER };
                self.report(ctx, 1, rule, at, "an external pointer");
                self.refer(None)?;
                then_attributes(self);
                self.tasks.extend([Task::Push(Value::Other("pointer")), Task::Items(2)]);
            }
            23 => {
                self.refer(None)?;
                self.values.push(Value::Other("weak reference"));
                then_attributes(self);
            }
            25 => {
                self.values.push(Value::Other("S4 object"));
                then_attributes(self);
            }
            // Information, state, attributes.
            238 => self.tasks.extend([Task::Push(Value::Other("ALTREP object")), Task::Items(3)]),
            _ => return Err(FormatError::malformed("item flags", at, format!("type {kind} is not defined"))),
        }
        Ok(())
    }

    fn reference(&mut self, flags: u32, at: u64) -> Result<(), FormatError> {
        let index = match flags >> 8 {
            0 => self.decoder.int("reference")?,
            index => i32::try_from(index).unwrap_or(-1),
        };
        let slot = usize::try_from(index).ok().and_then(|i| i.checked_sub(1));
        match slot.and_then(|i| self.references.get(i)) {
            Some(Some(name)) => self.values.push(Value::Symbol(Rc::clone(name))),
            Some(None) => self.values.push(Value::Other("environment")),
            None => {
                let reason = format!("{index} of {} references", self.references.len());
                return Err(FormatError::malformed("reference", at, reason));
            }
        }
        Ok(())
    }

    fn refer(&mut self, name: Option<Rc<str>>) -> Result<(), FormatError> {
        if self.references.len() >= REFERENCES_MAX {
            return Err(FormatError::limit("r_references_max", REFERENCES_MAX as u64));
        }
        self.references.push(name);
        Ok(())
    }

    /// A package, namespace or persistent name: zero, a count, strings.
    fn names(&mut self, kind: u8) -> Result<(), FormatError> {
        self.decoder.int("name marker")?;
        let n = self.decoder.int("name count")?;
        let n = u64::try_from(n).map_err(|_| FormatError::malformed("name count", self.position(), "negative"))?;
        let n = self.decoder.items(n, "name count")?;
        self.refer(None)?;
        let told = if kind == 247 { "persistent name" } else { "environment" };
        self.tasks.extend([Task::Push(Value::Other(told)), Task::Items(n)]);
        Ok(())
    }

    /// The rest of a `CHARSXP`: length and bytes; -1 is `NA`.
    fn character(&mut self) -> Result<Rc<str>, FormatError> {
        match self.decoder.int("string length")? {
            -1 => Ok("NA".into()),
            len => Ok(self.decoder.text(len, TEXT_BYTES_MAX, "string")?.into()),
        }
    }

    fn strings(&mut self, ctx: &mut Inspection<'_>) -> Result<Option<Rc<str>>, FormatError> {
        let n = self.decoder.len("strings")?;
        let n = self.decoder.items(n, "strings")?;
        let mut first = None;
        for _ in 0..n {
            ctx.work(1)?;
            let at = self.position();
            let kind = self.decoder.int("string flags")?.to_le_bytes()[0];
            if kind != 9 {
                return Err(FormatError::malformed("string flags", at, format!("type {kind} in a character vector")));
            }
            let text = self.character()?;
            first.get_or_insert(text);
        }
        Ok(first)
    }

    fn open_pair(&mut self, kind: u8, flags: u32, at: u64) -> Result<(), FormatError> {
        match kind {
            3 => self.closures += 1,
            5 => self.promises += 1,
            _ => {}
        }
        let pair = Pair { kind, stage: Stage::Done, tag: None, items: Vec::new(), at };
        self.cell(Box::new(pair), flags);
        Ok(())
    }

    /// Starts a cell: attributes, tag, head, then the tail.
    fn cell(&mut self, mut pair: Box<Pair>, flags: u32) {
        pair.stage = Stage::Tag { follows: flags & HAS_TAG != 0 };
        self.tasks.push(Task::Pair(pair));
        if flags & HAS_ATTRIBUTES != 0 {
            self.tasks.extend([Task::Drop, Task::Item]);
        }
    }

    fn pair(&mut self, ctx: &mut Inspection<'_>, mut pair: Box<Pair>) -> Result<(), FormatError> {
        match pair.stage {
            Stage::Tag { follows } => {
                pair.stage = Stage::Head { tagged: follows };
                self.tasks.push(Task::Pair(pair));
                if follows {
                    self.tasks.push(Task::Item);
                }
            }
            Stage::Head { tagged } => {
                pair.tag = if tagged { self.values.pop() } else { None };
                pair.stage = Stage::Tail;
                self.tasks.extend([Task::Pair(pair), Task::Item]);
            }
            Stage::Tail => {
                let value = self.values.pop().unwrap_or(Value::Null);
                let name = match &pair.tag {
                    Some(Value::Symbol(name)) => Some(Rc::clone(name)),
                    _ => None,
                };
                if pair.items.len() < ITEMS_MAX {
                    pair.items.push((name, value));
                }
                pair.stage = Stage::Done;
                // Long lists are one chain of cells, walked in place.
                if matches!(pair.kind, 2 | 6) {
                    let at = self.position();
                    let flags = self.decoder.int("pairlist tail")?.cast_unsigned();
                    match flags.to_le_bytes()[0] {
                        2 => self.cell(pair, flags),
                        0 | 254 => self.close(ctx, &pair, Value::Null),
                        kind => {
                            self.report(ctx, 2, &rules::ODD_LIST, at, &format!("a pairlist ends in type {kind}"));
                            self.tasks.push(Task::Pair(pair));
                            self.again(ctx, flags)?;
                        }
                    }
                } else {
                    self.tasks.extend([Task::Pair(pair), Task::Item]);
                }
            }
            Stage::Done => {
                let tail = self.values.pop().unwrap_or(Value::Null);
                self.close(ctx, &pair, tail);
            }
        }
        Ok(())
    }

    /// An item whose flags were read already.
    fn again(&mut self, ctx: &mut Inspection<'_>, flags: u32) -> Result<(), FormatError> {
        let kind = flags.to_le_bytes()[0];
        let at = self.position();
        match kind {
            3 | 5 | 6 | 17 => self.open_pair(kind, flags, at),
            1 => {
                self.tasks.extend([Task::Symbol, Task::Item]);
                Ok(())
            }
            255 => self.reference(flags, at),
            241 | 242 | 250..=253 => {
                self.values.push(Value::Other("constant"));
                Ok(())
            }
            _ => {
                ctx.work(1)?;
                Err(FormatError::malformed("pairlist tail", at, format!("type {kind}")))
            }
        }
    }

    /// A pairlist-like object is complete.
    fn close(&mut self, ctx: &mut Inspection<'_>, pair: &Pair, tail: Value) {
        let value = match pair.kind {
            6 => {
                let call = value::call(&pair.items);
                if self.promises == 0 && call.danger == Some(Danger::Strong) {
                    let rule =
                        if self.closures > 0 || self.bytecodes > 0 { &rules::FUNCTION } else { &rules::LANGUAGE };
                    self.report(ctx, 3, rule, pair.at, &format!("`{}`", call.shown));
                }
                Value::Call(Rc::new(call))
            }
            5 => {
                self.promises -= 1;
                self.promise(ctx, pair, &tail);
                Value::Other("promise")
            }
            3 => {
                self.closures -= 1;
                Value::Other("function")
            }
            _ => Value::List(pair.items.as_slice().into()),
        };
        self.values.push(value);
    }

    /// A promise: environment as tag, value as head, expression as tail.
    fn promise(&mut self, ctx: &mut Inspection<'_>, pair: &Pair, expression: &Value) {
        let computed = pair.items.first().is_some_and(|(_, value)| !matches!(value, Value::Unbound));
        let detail = format!("a promise of `{}`", expression.evidence());
        match (expression.danger(), computed, self.environments > 0) {
            // Arguments of functions whose environment was saved.
            (None | Some(Danger::Weak), _, true) | (None, true, _) => {}
            (Some(_), true, _) => self.report(ctx, 4, &rules::PROMISE, pair.at, &detail),
            (Some(_), false, _) => self.report(ctx, 5, &rules::PROMISE_CALL, pair.at, &detail),
            (None, false, false) => self.report(ctx, 4, &rules::PROMISE, pair.at, &detail),
        }
    }

    fn attributes(&mut self) {
        if let Some(Value::List(items)) = self.values.pop()
            && self.tasks.is_empty()
            && let Some((_, Value::Text(class))) =
                items.iter().find(|(name, _)| name.as_deref().is_some_and(|name| name == "class"))
        {
            self.class = Some(class.to_string());
        }
    }

    /// `ReadBCLang`: an expression among the constants of bytecode.
    fn language(&mut self, kind: i32) -> Result<(), FormatError> {
        let kind = if kind == 244 {
            self.decoder.int("repetition")?;
            self.decoder.int("expression type")?
        } else {
            kind
        };
        match kind {
            243 => {
                self.decoder.int("repetition")?;
                self.values.push(Value::Other("expression"));
            }
            2 | 6 | 239 | 240 => {
                // Tag, head, tail: the two last with their types in front.
                self.tasks.push(Task::Push(Value::Other("expression")));
                self.tasks.extend([Task::Drop, Task::NextLanguage, Task::Drop, Task::NextLanguage]);
                let items = if matches!(kind, 239 | 240) { 2 } else { 1 };
                self.tasks.push(Task::Items(items));
            }
            _ => self.tasks.push(Task::Item),
        }
        Ok(())
    }

    fn report(
        &mut self,
        ctx: &mut Inspection<'_>,
        slot: usize,
        rule: &'static weighbridge_types::Rule,
        at: u64,
        detail: &str,
    ) {
        let Some(count) = self.reported.get_mut(slot) else { return };
        *count += 1;
        if *count <= FINDINGS_MAX {
            ctx.find(rule, at, detail);
        }
    }
}
