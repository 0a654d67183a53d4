//! The objects a stream makes. They live in one arena and refer to each other
//! by index, so shared and cyclic structures cost nothing extra and nothing
//! here recurses.

use std::rc::Rc;

use crate::core::FormatError;
use crate::formats::pickle::literal::Literal;
use crate::formats::pickle::names::NameId;

/// Objects of plain data kept of one stream: the last ones made. Older ones are
/// no longer followed.
const PLAIN_OBJECTS_MAX: u64 = 400_000;
/// Objects kept if something depends on them: imports, calls, what holds them.
const NOTABLE_OBJECTS_MAX: usize = 2_000_000;
/// Items kept over all containers of one stream.
const ITEMS_MAX: usize = 4_000_000;
/// Items kept of one tuple (arguments) and of one other container.
const TUPLE_ITEMS_MAX: usize = 512;
const CONTAINER_ITEMS_MAX: usize = 64;
/// Pairs kept of one dict whatever the limit above, if the key is a hook.
const HOOK_ITEMS_MAX: usize = 1024;

/// Set on objects that are kept for good.
const NOTABLE: u64 = 1 << 63;

/// An object of the arena: its number among those of plain data, or among
/// those kept for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectId(u64);

/// What lies on the stack or in the memo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// A boolean.
    Bool(bool),
    /// A number of at most 64 bits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text in the stream.
    Str(Literal),
    /// Bytes in the stream.
    Bytes(Literal),
    /// Something in the arena.
    Object(ObjectId),
    /// Plain data that is no longer followed.
    Data,
    /// Anything.
    Unknown,
}

/// Items of a container, the first of them kept.
#[derive(Debug, Default, Clone)]
pub struct Items {
    /// The first items; of a dict keys and values in turn.
    pub kept: Vec<Value>,
    /// How many there are in all.
    pub total: u64,
    /// Whether a key is the name of a special method.
    pub hooks: bool,
}

impl Items {
    /// Whether all items were kept.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.kept.len() as u64 == self.total
    }

    /// Keys and values.
    pub fn pairs(&self) -> impl Iterator<Item = (Value, Value)> {
        self.kept.chunks_exact(2).filter_map(|pair| match pair {
            [key, value] => Some((*key, *value)),
            _ => None,
        })
    }
}

/// How a call came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `callee(*args)`
    Call,
    /// `callee.__new__(callee, *args)`
    New,
    /// `OBJ`, `INST`: a call, or mere instantiation in Python 2.
    Instance,
}

/// A call and what is known of its result.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is called.
    pub callee: Value,
    /// Its arguments: a tuple, or something else.
    pub args: Value,
    /// Keyword arguments, or `None`.
    pub keywords: Value,
    /// How it is called.
    pub how: How,
    /// What it evaluates to, where that is known: an import, a text.
    pub result: Option<Value>,
    /// State given by BUILD.
    pub state: Value,
}

/// An object of the arena.
#[derive(Debug, Clone)]
pub enum Object {
    /// `(…)`
    Tuple(Items),
    /// `[…]`
    List(Items),
    /// `{…: …}`
    Dict(Items),
    /// `{…}` and `frozenset({…})`
    Set(Items),
    /// An imported name.
    Global(NameId),
    /// The result of a call.
    Call(Box<Call>),
    /// What a persistent id stands for.
    Persistent(Value),
    /// A number of more than 64 bits, as text.
    Number(Rc<str>),
}

/// The arena.
#[derive(Debug, Default)]
pub struct Heap {
    /// Kept for good.
    notable: Vec<Object>,
    /// The last plain ones, in a ring.
    plain: Vec<Object>,
    /// Plain ones made so far.
    made: u64,
    /// Items kept in them all.
    items: usize,
}

impl Heap {
    /// The object behind `id`, unless it was given up.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&Object> {
        match self.place(id)? {
            Place::Notable(at) => self.notable.get(at),
            Place::Plain(at) => self.plain.get(at),
        }
    }

    fn get_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        match self.place(id)? {
            Place::Notable(at) => self.notable.get_mut(at),
            Place::Plain(at) => self.plain.get_mut(at),
        }
    }

    fn place(&self, id: ObjectId) -> Option<Place> {
        if id.0 & NOTABLE != 0 {
            return usize::try_from(id.0 & !NOTABLE).ok().map(Place::Notable);
        }
        let kept = self.made - id.0.min(self.made) <= PLAIN_OBJECTS_MAX;
        kept.then(|| usize::try_from(id.0 % PLAIN_OBJECTS_MAX).ok().map(Place::Plain))?
    }

    /// The value, or plain data if its object was given up.
    #[must_use]
    pub fn live(&self, value: Value) -> Value {
        match value {
            Value::Object(id) if self.place(id).is_none() => Value::Data,
            value => value,
        }
    }

    /// The object a value refers to.
    #[must_use]
    pub fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(id) => self.get(id),
            _ => None,
        }
    }

    /// The call behind a value.
    #[must_use]
    pub fn call(&self, value: Value) -> Option<&Call> {
        match self.object(value) {
            Some(Object::Call(call)) => Some(call),
            _ => None,
        }
    }

    /// The call behind a value, to change it.
    pub fn call_mut(&mut self, value: Value) -> Option<&mut Call> {
        let Value::Object(id) = value else { return None };
        match self.get_mut(id) {
            Some(Object::Call(call)) => Some(call),
            _ => None,
        }
    }

    /// Items of the container behind a value.
    #[must_use]
    pub fn items(&self, value: Value) -> Option<&Items> {
        match self.object(value) {
            Some(Object::Tuple(items) | Object::List(items) | Object::Dict(items) | Object::Set(items)) => Some(items),
            _ => None,
        }
    }

    /// What a value evaluates to, as far as that is known.
    #[must_use]
    pub fn resolved(&self, value: Value) -> Value {
        let mut value = value;
        for _ in 0..16 {
            match self.call(value).and_then(|c| c.result) {
                Some(result) => value = result,
                None => break,
            }
        }
        value
    }

    /// The name a value evaluates to.
    #[must_use]
    pub fn global(&self, value: Value) -> Option<NameId> {
        match self.object(self.resolved(value)) {
            Some(Object::Global(name)) => Some(*name),
            _ => None,
        }
    }

    /// Adds an object that something depends on.
    ///
    /// # Errors
    /// [`FormatError::Limit`] when there are too many.
    pub fn add_notable(&mut self, object: Object) -> Result<Value, FormatError> {
        if self.notable.len() >= NOTABLE_OBJECTS_MAX {
            return Err(FormatError::limit("pickle_objects_max", NOTABLE_OBJECTS_MAX as u64));
        }
        let id = self.notable.len() as u64 | NOTABLE;
        self.notable.push(object);
        Ok(Value::Object(ObjectId(id)))
    }

    /// Adds an object; plain data takes the place of the oldest.
    ///
    /// # Errors
    /// As [`Self::add_notable`].
    pub fn add(&mut self, object: Object) -> Result<Value, FormatError> {
        if self.holds_notable(&object) { self.add_notable(object) } else { Ok(self.add_plain(object)) }
    }

    /// Adds the result of a call, for good if something may depend on it.
    ///
    /// # Errors
    /// As [`Self::add_notable`].
    pub fn add_call(&mut self, call: Call, notable: bool) -> Result<Value, FormatError> {
        let object = Object::Call(Box::new(call));
        if notable { self.add_notable(object) } else { Ok(self.add_plain(object)) }
    }

    fn add_plain(&mut self, object: Object) -> Value {
        let id = self.made;
        self.made += 1;
        let at = usize::try_from(id % PLAIN_OBJECTS_MAX).unwrap_or(0);
        match self.plain.get_mut(at) {
            Some(oldest) => {
                let oldest = std::mem::replace(oldest, object);
                self.items = self.items.saturating_sub(kept_items(&oldest));
            }
            None => self.plain.push(object),
        }
        Value::Object(ObjectId(id))
    }

    /// A tuple of `items`.
    ///
    /// # Errors
    /// As [`Self::add_notable`].
    pub fn tuple(&mut self, items: &[Value]) -> Result<Value, FormatError> {
        let items = self.keep(items, TUPLE_ITEMS_MAX);
        self.add(Object::Tuple(items))
    }

    /// The first of `items`, within the limits.
    pub fn keep(&mut self, items: &[Value], max: usize) -> Items {
        let room = max.min(ITEMS_MAX.saturating_sub(self.items));
        let kept: Vec<_> = items.iter().copied().take(room).collect();
        self.items += kept.len();
        Items { kept, total: items.len() as u64, hooks: false }
    }

    /// The first items of a list, set or dict.
    pub fn keep_some(&mut self, items: &[Value]) -> Items {
        self.keep(items, CONTAINER_ITEMS_MAX)
    }

    /// Appends to a list or set. False if the value is neither.
    pub fn extend(&mut self, target: Value, items: &[Value]) -> bool {
        let Value::Object(id) = target else { return target == Value::Data };
        let room = ITEMS_MAX.saturating_sub(self.items);
        let Some(Object::List(list) | Object::Set(list)) = self.get_mut(id) else { return false };
        let room = room.min(CONTAINER_ITEMS_MAX.saturating_sub(list.kept.len()));
        list.kept.extend(items.iter().copied().take(room));
        list.total += items.len() as u64;
        self.items += room.min(items.len());
        true
    }

    /// Sets a key of a dict. False if the value is none.
    pub fn insert(&mut self, target: Value, key: Value, item: Value, hook: bool) -> bool {
        let Value::Object(id) = target else { return target == Value::Data };
        let budget = self.items < ITEMS_MAX;
        let Some(Object::Dict(dict)) = self.get_mut(id) else { return false };
        dict.hooks |= hook;
        dict.total += 2;
        let max = if hook { HOOK_ITEMS_MAX } else { 2 * CONTAINER_ITEMS_MAX };
        if budget && dict.kept.len() < max {
            dict.kept.extend([key, item]);
            self.items += 2;
        }
        true
    }

    /// Whether an object, or an item it keeps, is an import or a call that
    /// something may depend on.
    fn holds_notable(&self, object: &Object) -> bool {
        match object {
            Object::Tuple(items) | Object::List(items) | Object::Dict(items) | Object::Set(items) => {
                items.kept.iter().any(|v| matches!(v, Value::Object(id) if id.0 & NOTABLE != 0))
            }
            Object::Persistent(_) | Object::Number(_) => false,
            Object::Global(_) | Object::Call(_) => true,
        }
    }
}

/// Where an object lies.
enum Place {
    Notable(usize),
    Plain(usize),
}

fn kept_items(object: &Object) -> usize {
    match object {
        Object::Tuple(items) | Object::List(items) | Object::Dict(items) | Object::Set(items) => items.kept.len(),
        Object::Global(_) | Object::Call(_) | Object::Persistent(_) | Object::Number(_) => 0,
    }
}
