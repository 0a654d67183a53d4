//! What may follow a value: attributes, subscripts, calls, filters, tests.

use crate::codec::jinja::constant::Constant;
use crate::codec::jinja::expression::{Expression, is_content_name, listed};
use crate::codec::jinja::judge::{COMPARES, KEEPS_CONTENT};
use crate::codec::jinja::lexer::Token;
use crate::codec::jinja::names;
use crate::codec::jinja::rules;
use crate::codec::jinja::scope::Value;

/// Attributes of content parts that are structure, not text.
const PART_KEYS: &str = "type role name id length index tool_calls mime_type format";

/// Arguments of a call.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl Arguments {
    pub(super) fn constants(&self) -> Option<Vec<Constant>> {
        self.positional.iter().map(|v| v.constant.clone()).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        self.positional.iter().chain(self.named.iter().map(|(_, v)| v))
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.all().flat_map(Value::texts)
    }
}

impl<'t> Expression<'_, 't, '_> {
    /// Attributes, subscripts, calls, filters and tests after a value.
    pub(super) fn postfix(&mut self, mut value: Value) -> Value {
        loop {
            if self.take(".") {
                value = match self.peek() {
                    Some(Token::Name(name)) => {
                        self.at += 1;
                        self.member(value, name)
                    }
                    Some(Token::Integer(n)) => {
                        self.at += 1;
                        indexed(&value, &Constant::Integer(*n))
                    }
                    _ => Value::default(),
                };
            } else if self.take("[") {
                value = self.subscript(value);
            } else if self.take("(") {
                value = self.call(&value);
            } else if self.take("|") {
                value = self.filter(value);
            } else if self.take("is") {
                value = self.test(&value);
            } else {
                return value;
            }
        }
    }

    /// `value.name`, called or not.
    fn member(&mut self, value: Value, name: &str) -> Value {
        self.reached(&value, name, "attribute");
        if self.take("(") {
            let spoken = self.notes.literals.len();
            let arguments = self.arguments();
            if names::is_forbidden_call(name) {
                self.notes.hit(&rules::FORBIDDEN_CALL, format!("calls `.{name}(…)`"));
            }
            return self.method(&value, name, &arguments, spoken);
        }
        let path = value.path.as_ref().map(|p| format!("{p}.{name}"));
        if let Some(known) = path.as_ref().filter(|p| p.len() < 256).and_then(|p| self.scope.get(p)) {
            return Value { path, ..known.clone() };
        }
        Value {
            content: is_content_name(name) || value.content && !names::is_in(PART_KEYS, name),
            time: value.time,
            path: path.filter(|p| p.len() < 256),
            ..Value::default()
        }
    }

    fn method(&mut self, value: &Value, name: &str, arguments: &Arguments, spoken: usize) -> Value {
        self.numbers(name, arguments);
        let trigger = self.tested(value, name, arguments);
        if name == "replace" {
            self.rewritten(value, arguments);
        }
        if !matches!(name, "format" | "join") {
            self.notes.literals.truncate(spoken);
        }
        let constant = value
            .constant
            .as_ref()
            .zip(arguments.constants())
            .and_then(|(constant, arguments)| constant.method(name, &arguments));
        let result = Value {
            constant,
            content: value.content && names::is_in(KEEPS_CONTENT, name)
                || arguments.all().any(|a| a.content) && matches!(name, "join" | "format"),
            time: value.time || matches!(name, "strftime" | "now" | "today" | "utcnow"),
            trigger,
            ..Value::default()
        };
        self.built(&result);
        result
    }

    fn subscript(&mut self, value: Value) -> Value {
        let spoken = self.notes.literals.len();
        let mut bounds = [None, None, None];
        let mut part = 0;
        let mut sliced = false;
        let mut index = Value::default();
        while !matches!(self.peek(), None | Some(Token::Op("]"))) {
            let before = self.at;
            if self.take(":") {
                sliced = true;
                part += 1;
                continue;
            }
            self.take(",");
            index = self.condition();
            if let Some(slot) = bounds.get_mut(part) {
                *slot = index.constant.as_ref().and_then(Constant::integer);
            }
            if self.at == before {
                break;
            }
        }
        self.take("]");
        self.notes.literals.truncate(spoken);
        if sliced {
            let [start, stop, step] = bounds;
            let constant = value.constant.as_ref().and_then(|c| c.slice(start, stop, step));
            let result = Value { constant, path: None, trigger: None, ..value };
            self.built(&result);
            return result;
        }
        let Some(constant) = index.constant else {
            return Value { content: value.content, time: value.time, ..Value::default() };
        };
        if let Some(name) = constant.text() {
            self.reached_by_text(&value, name, "subscript");
            let path = value.path.as_ref().map(|p| format!("{p}.{name}")).filter(|p| p.len() < 256);
            if let Some(known) = path.as_ref().and_then(|p| self.scope.get(p)) {
                return Value { path, ..known.clone() };
            }
            return Value {
                content: is_content_name(name) || value.content && !names::is_in(PART_KEYS, name),
                time: value.time,
                path,
                ..Value::default()
            };
        }
        let result = indexed(&value, &constant);
        self.built(&result);
        result
    }

    /// A call of what is not an attribute: a function or macro by name.
    fn call(&mut self, value: &Value) -> Value {
        let spoken = self.notes.literals.len();
        let arguments = self.arguments();
        let name = value.path.as_deref().unwrap_or_default();
        self.numbers(name, &arguments);
        if self.scope.find_macro(name).is_some_and(|m| m.speaks) {
            self.notes.speaks = true;
        }
        if !self.scope.defines(name) && names::is_forbidden_call(name) {
            self.notes.hit(&rules::FORBIDDEN_CALL, format!("calls `{name}(…)`"));
        }
        match name {
            "raise_exception" => {
                self.notes.literals.truncate(spoken);
                Value::default()
            }
            "strftime_now" | "now" | "utcnow" | "get_time" | "date" => {
                self.notes.literals.truncate(spoken);
                Value { time: true, ..Value::default() }
            }
            "range" => Value { rounds: Some(rounds(&arguments)), ..Value::default() },
            "dict" => listed(arguments.named.into_iter().map(|(name, _)| Value::of(Constant::Text(name))).collect()),
            _ => {
                self.notes.called.extend((!name.is_empty()).then(|| name.to_owned()));
                Value { content: arguments.all().any(|a| a.content), ..Value::default() }
            }
        }
    }

    fn arguments(&mut self) -> Arguments {
        let mut out = Arguments::default();
        while !matches!(self.peek(), None | Some(Token::Op(")"))) {
            let before = self.at;
            while self.take("*") || self.take("**") {}
            let named = match self.tokens.get(self.at..) {
                Some([Token::Name(name), Token::Op("="), ..]) => Some((*name).to_owned()),
                _ => None,
            };
            if named.is_some() {
                self.at += 2;
            }
            let value = self.condition();
            match named {
                Some(name) => out.named.push((name, value)),
                None => out.positional.push(value),
            }
            if !self.take(",") && self.at == before {
                break;
            }
        }
        self.take(")");
        out
    }

    /// `value | name(arguments)`
    pub fn filter(&mut self, value: Value) -> Value {
        let Some(Token::Name(name)) = self.peek() else { return Value::default() };
        self.at += 1;
        while self.take(".") {
            self.at += usize::from(matches!(self.peek(), Some(Token::Name(_))));
        }
        let spoken = self.notes.literals.len();
        let arguments = if self.take("(") { self.arguments() } else { Arguments::default() };
        self.numbers(name, &arguments);
        self.attributes_named(name, &value, &arguments);
        let trigger = self.tested(&value, name, &arguments);
        if *name == "replace" {
            self.rewritten(&value, &arguments);
        }
        if (value.object || value.generator)
            && matches!(*name, "string" | "list" | "escape" | "e" | "urlencode" | "forceescape")
            && (value.object || *name != "list")
        {
            self.notes.hit(&rules::OBFUSCATED, format!("takes characters out of an object's text by `|{name}`"));
        }
        if !matches!(*name, "default" | "d" | "format" | "replace" | "join") {
            self.notes.literals.truncate(spoken);
        }
        let constant =
            value.constant.as_ref().zip(arguments.constants()).and_then(|(c, arguments)| c.filtered(name, &arguments));
        let whole_messages = matches!(value.path.as_deref(), Some("messages" | "message"));
        let names_content = arguments.texts().any(is_content_name) && matches!(*name, "map" | "selectattr");
        let result = Value {
            constant,
            content: value.content
                && (names::is_in(KEEPS_CONTENT, name) || *name == "map" || names::is_in(COMPARES, name))
                || whole_messages && matches!(*name, "string" | "tojson" | "join")
                || names_content,
            time: value.time,
            generator: matches!(*name, "select" | "reject" | "map" | "batch" | "slice") && value.constant.is_some(),
            trigger,
            object: value.object && *name != "length",
            ..Value::default()
        };
        self.built(&result);
        result
    }

    /// `value is [not] name [argument]`
    fn test(&mut self, value: &Value) -> Value {
        self.take("not");
        let name = match self.peek() {
            Some(Token::Name(name)) => *name,
            _ => return Value::default(),
        };
        self.at += 1;
        let spoken = self.notes.literals.len();
        let arguments = if self.take("(") {
            self.arguments()
        } else {
            match self.peek() {
                Some(Token::Name("else" | "or" | "and" | "is" | "if" | "in" | "not" | "recursive")) => {
                    Arguments::default()
                }
                Some(Token::Name(_) | Token::Text(_) | Token::Integer(_) | Token::Float | Token::Op("[" | "{")) => {
                    let argument = self.primary();
                    Arguments { positional: vec![argument], named: Vec::new() }
                }
                _ => Arguments::default(),
            }
        };
        self.notes.literals.truncate(spoken);
        let trigger = self.tested(value, name, &arguments);
        Value { trigger, ..Value::default() }
    }
}

fn indexed(value: &Value, index: &Constant) -> Value {
    Value {
        constant: value.constant.as_ref().and_then(|c| c.item(index)),
        content: value.content,
        time: value.time,
        ..Value::default()
    }
}

/// Rounds of `range(…)`, as far as its arguments are known.
fn rounds(arguments: &Arguments) -> u64 {
    let bounds: Vec<i64> =
        arguments.positional.iter().map(|v| v.constant.as_ref().and_then(Constant::integer).unwrap_or(1)).collect();
    match bounds.as_slice() {
        [stop] => u64::try_from(*stop).unwrap_or(0),
        [start, stop, ..] => start.abs_diff(*stop),
        [] => 0,
    }
}
