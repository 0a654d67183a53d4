//! What is known of a template's variables and macros while walking it.

use std::collections::HashMap;

use crate::codec::jinja::constant::Constant;

/// Most names kept; a template with more is refused as too complex.
const NAMES_MAX: usize = 2000;

/// What is known of an expression without rendering it.
#[derive(Debug, Clone, Default)]
pub struct Value {
    /// Its value.
    pub constant: Option<Constant>,
    /// It is, or comes from, what users wrote.
    pub content: bool,
    /// It comes from the clock.
    pub time: bool,
    /// It is an object of the environment (`lipsum`, `self`, …).
    pub object: bool,
    /// It is a generator, whose text is an address in memory.
    pub generator: bool,
    /// The condition it stands for tests content or time.
    pub trigger: Option<Trigger>,
    /// Dotted path from a variable.
    pub path: Option<String>,
    /// Rounds of a `range`.
    pub rounds: Option<u64>,
}

impl Value {
    /// A value known in full.
    pub fn of(constant: Constant) -> Self {
        Self { constant: Some(constant), ..Self::default() }
    }

    /// Either of two values.
    pub fn or(self, other: Self) -> Self {
        Self {
            constant: if self.constant == other.constant { self.constant } else { None },
            content: self.content || other.content,
            time: self.time || other.time,
            object: self.object || other.object,
            generator: false,
            trigger: self.trigger.or(other.trigger),
            path: None,
            rounds: None,
        }
    }

    /// Two values put together into one whose constant is `constant`.
    pub fn joined(&self, other: &Self, constant: Option<Constant>) -> Self {
        Self { constant, content: self.content || other.content, time: self.time || other.time, ..Self::default() }
    }

    /// Strings it can be.
    pub fn texts(&self) -> Vec<&str> {
        self.constant.as_ref().map(Constant::texts).unwrap_or_default()
    }
}

/// A condition that an honest template does not ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Words in what a user wrote.
    Content(String),
    /// A date.
    Date,
}

/// What a macro does, as far as it matters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Macro {
    /// It puts out literal language.
    pub speaks: bool,
}

/// Names assigned so far.
#[derive(Debug, Default)]
pub struct Scope {
    values: HashMap<String, Value>,
    macros: HashMap<String, Macro>,
    full: bool,
}

impl Scope {
    /// Assigns `value` to `name` (dotted for attributes of namespaces).
    pub fn bind(&mut self, name: &str, value: Value) {
        if self.values.len() < NAMES_MAX || self.values.contains_key(name) {
            self.values.insert(name.to_owned(), value);
        } else {
            self.full = true;
        }
    }

    /// What was assigned to `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Declares or changes the macro `name`.
    pub fn declare(&mut self, name: &str, speaks: bool) {
        if self.macros.len() < NAMES_MAX {
            self.macros.entry(name.to_owned()).or_default().speaks |= speaks;
        } else {
            self.full = true;
        }
    }

    /// Whether more names were assigned than are kept.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The macro `name`.
    pub fn find_macro(&self, name: &str) -> Option<Macro> {
        self.macros.get(name).copied()
    }

    /// Whether the template itself defines `name`.
    pub fn defines(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.macros.contains_key(name)
    }
}
