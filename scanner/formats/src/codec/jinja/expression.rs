//! Expressions (`jinja2/parser.py`), walked once: each part yields what is
//! known of its value, and what it reaches is noted on the way.

use crate::codec::jinja::constant::Constant;
use crate::codec::jinja::lexer::Token;
use crate::codec::jinja::names::{self, Reach};
use crate::codec::jinja::notes::Notes;
use crate::codec::jinja::prose;
use crate::codec::jinja::rules;
use crate::codec::jinja::scope::{Scope, Trigger, Value};

/// Deepest nesting of brackets followed.
const DEPTH_MAX: u32 = 40;
/// Numbers from here on only serve to exhaust time or memory.
const BOMB_NUMBER: i64 = 10_000_000;
/// Repetitions of a text from here on.
const BOMB_REPEATS: i64 = 100_000;
/// Exponents from here on.
const BOMB_EXPONENT: i64 = 10_000;
/// Words from which a literal is language.
pub const SPEECH_WORDS_MIN: usize = 3;

/// Keys and variables that hold what users wrote.
const CONTENT_NAMES: &[&str] = &[
    "content",
    "text",
    "prompt",
    "query",
    "question",
    "instruction",
    "user_message",
    "user_input",
    "user_prompt",
    "input",
    "last_user_message",
    "message_text",
    "user_content",
];

/// Attributes of content parts that are structure, not text.
const PART_KEYS: &[&str] = &["type", "role", "name", "id", "length", "index", "tool_calls", "mime_type", "format"];

/// Methods and filters after which content is still content.
const KEEPS_CONTENT: &[&str] = &[
    "lower",
    "upper",
    "strip",
    "lstrip",
    "rstrip",
    "trim",
    "replace",
    "split",
    "casefold",
    "title",
    "capitalize",
    "string",
    "join",
    "first",
    "last",
    "list",
    "safe",
    "escape",
    "e",
    "default",
    "d",
    "reverse",
    "truncate",
    "splitlines",
    "removeprefix",
    "removesuffix",
    "indent",
    "tojson",
    "striptags",
];

/// Methods and filters that compare content with their argument.
const COMPARES: &[&str] = &[
    "startswith",
    "endswith",
    "find",
    "rfind",
    "index",
    "rindex",
    "count",
    "contains",
    "search",
    "match",
    "regex",
    "regex_search",
    "regex_match",
    "regex_findall",
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "equalto",
    "eq",
    "in",
    "containing",
    "matching",
    "__contains__",
];

/// Whether a variable of this name holds what users wrote.
pub fn is_content_name(name: &str) -> bool {
    CONTENT_NAMES.contains(&name)
}

/// A walk over the tokens of one tag.
pub struct Expression<'a, 't, 's> {
    tokens: &'a [Token<'t>],
    at: usize,
    depth: u32,
    scope: &'s Scope,
    notes: &'s mut Notes,
}

/// Arguments of a call.
#[derive(Default)]
struct Arguments {
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
}

impl Arguments {
    fn constants(&self) -> Option<Vec<Constant>> {
        self.positional.iter().map(|v| v.constant.clone()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        self.positional.iter().chain(self.named.iter().map(|(_, v)| v))
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.all().flat_map(Value::texts)
    }
}

impl<'a, 't, 's> Expression<'a, 't, 's> {
    /// Starts at the first of `tokens`.
    pub fn new(tokens: &'a [Token<'t>], scope: &'s Scope, notes: &'s mut Notes) -> Self {
        Self { tokens, at: 0, depth: 0, scope, notes }
    }

    /// Tokens not yet walked.
    pub fn rest(&self) -> &'a [Token<'t>] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<&'a Token<'t>> {
        self.tokens.get(self.at)
    }

    /// Steps over the operator or keyword `what`, if it is next.
    pub fn take(&mut self, what: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Op(t) | Token::Name(t)) if *t == what);
        self.at += usize::from(found);
        found
    }

    /// Values separated by commas, to the end or to what is none.
    pub fn tuple(&mut self) -> Value {
        let first = self.condition();
        if !matches!(self.peek(), Some(Token::Op(","))) {
            return first;
        }
        let mut items = vec![first];
        while self.take(",") {
            if matches!(self.peek(), None | Some(Token::Op(")" | "]" | "}"))) {
                break;
            }
            items.push(self.condition());
        }
        listed(items)
    }

    /// One expression, with its inline conditions.
    pub fn condition(&mut self) -> Value {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.notes.too_complex = true;
            self.at = self.tokens.len();
            self.depth -= 1;
            return Value::default();
        }
        let mut value = self.disjunction();
        while self.take("if") {
            let test = self.disjunction();
            self.notes.conditions.extend(test.trigger);
            if self.take("else") {
                let other = self.disjunction();
                value = value.or(other);
            }
        }
        self.depth -= 1;
        value
    }

    /// An expression without inline conditions, as after `in` of a loop.
    pub fn disjunction(&mut self) -> Value {
        let mut value = self.conjunction();
        while self.take("or") {
            let other = self.conjunction();
            value = value.or(other);
        }
        value
    }

    fn conjunction(&mut self) -> Value {
        let mut value = self.negation();
        while self.take("and") {
            let other = self.negation();
            self.notes.conditions.extend(value.trigger.clone());
            value = value.or(other);
        }
        value
    }

    fn negation(&mut self) -> Value {
        let mut negated = false;
        while self.take("not") {
            negated = true;
        }
        let value = self.comparison();
        if negated { Value { trigger: value.trigger, ..Value::default() } } else { value }
    }

    fn comparison(&mut self) -> Value {
        let spoken = self.notes.literals.len();
        let mut left = self.sum();
        loop {
            let negated = matches!(self.tokens.get(self.at..), Some([Token::Name("not"), Token::Name("in"), ..]));
            self.at += usize::from(negated);
            let operator = match self.peek() {
                Some(Token::Op(op @ ("==" | "!=" | "<" | ">" | "<=" | ">="))) => *op,
                Some(Token::Name("in")) => "in",
                _ => return left,
            };
            self.at += 1;
            let right = self.sum();
            self.notes.literals.truncate(spoken);
            let trigger = compared(&left, &right, operator).or(left.trigger);
            left = Value { trigger, ..Value::default() };
        }
    }

    fn sum(&mut self) -> Value {
        let mut left = self.concatenation();
        let mut pieces = 1;
        loop {
            pieces += 1;
            if self.take("+") {
                let right = self.concatenation();
                let constant = match (left.constant.take(), &right.constant) {
                    (Some(a), Some(b)) => a.plus(b),
                    _ => None,
                };
                left = left.joined(&right, constant);
            } else if self.take("-") {
                let right = self.concatenation();
                left = left.joined(&right, None);
            } else {
                if pieces > 2 {
                    self.built(&left);
                }
                return left;
            }
        }
    }

    fn concatenation(&mut self) -> Value {
        let mut left = self.product();
        let mut joined = false;
        while self.take("~") {
            joined = true;
            let right = self.product();
            let constant = match (left.constant.take(), &right.constant) {
                (Some(a), Some(b)) => a.concatenated(b),
                _ => None,
            };
            left = left.joined(&right, constant);
        }
        if joined {
            self.built(&left);
        }
        left
    }

    fn product(&mut self) -> Value {
        let mut left = self.power();
        loop {
            if self.take("*") {
                let right = self.power();
                self.repeated(&left, &right);
                let constant = left.constant.as_ref().zip(right.constant.as_ref()).and_then(|(a, b)| a.times(b));
                left = left.joined(&right, constant);
            } else if self.take("%") {
                let right = self.power();
                let arguments = match &right.constant {
                    Some(Constant::List(items)) => Some(items.clone()),
                    other => other.clone().map(|c| vec![c]),
                };
                let constant = left.constant.as_ref().zip(arguments).and_then(|(a, b)| a.percent(&b));
                left = left.joined(&right, constant);
                self.built(&left);
            } else if self.take("/") || self.take("//") {
                let right = self.power();
                left = left.joined(&right, None);
            } else {
                return left;
            }
        }
    }

    fn power(&mut self) -> Value {
        let mut left = self.unary();
        let mut powers = 0;
        while self.take("**") {
            powers += 1;
            let right = self.unary();
            let exponent = right.constant.as_ref().and_then(Constant::integer).unwrap_or(0);
            let base = left.constant.as_ref().and_then(Constant::integer).unwrap_or(2);
            if exponent >= BOMB_EXPONENT && base.abs() > 1 || powers > 1 && exponent > 1 {
                self.notes.hit(&rules::RESOURCE_BOMB, format!("`{base} ** {exponent}`"));
            }
            let constant = left.constant.as_ref().zip(right.constant.as_ref()).and_then(|(a, b)| a.power(b));
            left = left.joined(&right, constant);
        }
        left
    }

    fn unary(&mut self) -> Value {
        let mut negative = false;
        while matches!(self.peek(), Some(Token::Op("-" | "+"))) {
            negative ^= matches!(self.peek(), Some(Token::Op("-")));
            self.at += 1;
        }
        let mut value = self.primary();
        if negative && let Some(Constant::Integer(n)) = &mut value.constant {
            *n = n.saturating_neg();
        }
        self.postfix(value)
    }

    fn primary(&mut self) -> Value {
        let Some(token) = self.peek() else { return Value::default() };
        self.at += 1;
        match token {
            Token::Text(text) => {
                let mut text = text.clone();
                // Literals side by side are one.
                while let Some(Token::Text(more)) = self.peek() {
                    self.at += 1;
                    text.push_str(more);
                    self.notes.check_text(&text);
                }
                self.notes.literals.push(text.clone());
                Value::of(Constant::Text(text))
            }
            Token::Integer(n) => Value::of(Constant::Integer(*n)),
            Token::Float => Value::default(),
            Token::Name(name) => self.name(name),
            Token::Op("(") => {
                let value = if matches!(self.peek(), Some(Token::Op(")"))) { listed(Vec::new()) } else { self.tuple() };
                self.take(")");
                value
            }
            Token::Op("[") => self.list(),
            Token::Op("{") => self.dictionary(),
            // Not the start of a value: whoever expects it takes it.
            Token::Op(")" | "]" | "}" | "," | ":" | "|" | "." | "=") => {
                self.at -= 1;
                Value::default()
            }
            Token::Op(_) => Value::default(),
        }
    }

    fn name(&mut self, name: &'t str) -> Value {
        if let Some(value) = self.scope.get(name) {
            if value.texts().iter().any(|t| prose::word_count(t) >= SPEECH_WORDS_MIN) {
                self.notes.speaks = true;
            }
            return Value { path: Some(name.to_owned()), ..value.clone() };
        }
        Value {
            content: is_content_name(name),
            time: matches!(name, "now" | "datetime" | "date" | "time" | "today" | "current_date" | "utcnow"),
            object: names::is_environment_object(name),
            path: Some(name.to_owned()),
            ..Value::default()
        }
    }

    fn list(&mut self) -> Value {
        let mut items = Vec::new();
        while !matches!(self.peek(), None | Some(Token::Op("]"))) {
            let before = self.at;
            items.push(self.condition());
            if !self.take(",") && self.at == before {
                break;
            }
        }
        self.take("]");
        listed(items)
    }

    fn dictionary(&mut self) -> Value {
        let mut keys = Vec::new();
        while !matches!(self.peek(), None | Some(Token::Op("}"))) {
            let before = self.at;
            keys.push(self.condition());
            if self.take(":") {
                self.condition();
            }
            if !self.take(",") && self.at == before {
                break;
            }
        }
        self.take("}");
        listed(keys)
    }

    /// Attributes, subscripts, calls, filters and tests after a value.
    fn postfix(&mut self, mut value: Value) -> Value {
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
            content: is_content_name(name) || value.content && !PART_KEYS.contains(&name),
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
            content: value.content && KEEPS_CONTENT.contains(&name)
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
                content: is_content_name(name) || value.content && !PART_KEYS.contains(&name),
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
            content: value.content && (KEEPS_CONTENT.contains(name) || *name == "map" || COMPARES.contains(name))
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

    /// An attribute reached by name.
    fn reached(&mut self, value: &Value, name: &str, how: &str) {
        match names::attribute(name) {
            Reach::Out => self.notes.hit(&rules::SANDBOX_ESCAPE, format!("{how} `{name}`")),
            Reach::Private => self.notes.hit(&rules::REACHES_OBJECT, format!("{how} `{name}` is private")),
            Reach::Harmless => {}
        }
        let Some(root) = value.path.as_deref().filter(|p| !p.contains('.') && !self.scope.defines(p)) else { return };
        if names::is_module(root) {
            self.notes.hit(&rules::FORBIDDEN_CALL, format!("reaches `{root}.{name}`"));
        } else if names::is_environment_object(root) && !names::is_documented(name) {
            self.notes.hit(&rules::REACHES_OBJECT, format!("{how} `{name}` of `{root}`"));
        }
    }

    /// An attribute reached by a string, where only names that lead out count:
    /// any other string is a key.
    fn reached_by_text(&mut self, value: &Value, name: &str, how: &str) {
        if name.starts_with('_') && names::attribute(name) == Reach::Out {
            self.notes.hit(&rules::SANDBOX_ESCAPE, format!("{how} `{name}`"));
        }
        if value.object && value.path.as_deref().is_some_and(|p| !p.contains('.')) {
            let root = value.path.as_deref().unwrap_or_default();
            self.notes.hit(&rules::REACHES_OBJECT, format!("{how} `{name}` of `{root}`"));
        }
    }

    /// Filters that take attribute names: `attr`, `map(attribute=…)`, ….
    fn attributes_named(&mut self, filter: &str, value: &Value, arguments: &Arguments) {
        if filter == "attr" {
            match arguments.positional.first().or(arguments.named.first().map(|(_, v)| v)).map(Value::texts).as_deref()
            {
                None | Some([]) => {
                    self.notes.hit(&rules::OBFUSCATED, "`|attr(…)` with a name computed while rendering");
                }
                Some(names) => {
                    for name in names {
                        self.reached(value, name, "`|attr` of");
                        if names::attribute(name) == Reach::Harmless {
                            self.notes.hit(&rules::REACHES_OBJECT, format!("`|attr('{name}')` in place of `.{name}`"));
                        }
                    }
                }
            }
        } else if matches!(
            filter,
            "map" | "selectattr" | "rejectattr" | "groupby" | "sort" | "unique" | "sum" | "min" | "max"
        ) {
            for name in arguments.texts().flat_map(|text| text.split('.')) {
                if names::attribute(name) == Reach::Out {
                    self.notes.hit(&rules::SANDBOX_ESCAPE, format!("`|{filter}` reaches `{name}`"));
                }
            }
        }
    }

    /// Something built out of pieces: judged like a literal.
    fn built(&mut self, value: &Value) {
        if let Some(text) = value.constant.as_ref().and_then(Constant::text) {
            self.notes.check_built(text);
        }
    }

    fn repeated(&mut self, left: &Value, right: &Value) {
        let count = [left, right].iter().find_map(|v| v.constant.as_ref().and_then(Constant::integer));
        let both = left.constant.as_ref().and_then(Constant::integer).is_some()
            && right.constant.as_ref().and_then(Constant::integer).is_some();
        if !both && count.is_some_and(|n| n >= BOMB_REPEATS) {
            self.notes.hit(&rules::RESOURCE_BOMB, format!("repeats something {} times", count.unwrap_or(0)));
        }
    }

    /// Huge numbers as arguments: `range`, `center`, `indent`, ….
    fn numbers(&mut self, name: &str, arguments: &Arguments) {
        let huge = arguments.all().filter_map(|v| v.constant.as_ref()?.integer()).find(|n| *n >= BOMB_NUMBER);
        if let Some(n) = huge {
            self.notes.hit(&rules::RESOURCE_BOMB, format!("`{name}` of {n}"));
        }
    }

    /// A comparison by method, filter or test.
    fn tested(&mut self, value: &Value, name: &str, arguments: &Arguments) -> Option<Trigger> {
        if !COMPARES.contains(&name) {
            return value.trigger.clone().filter(|_| KEEPS_CONTENT.contains(&name));
        }
        let by_attribute = arguments.texts().any(is_content_name) && matches!(name, "selectattr" | "rejectattr");
        if !value.content && !by_attribute {
            return None;
        }
        let phrase = arguments.texts().find(|t| prose::is_trigger(t) && !COMPARES.contains(t))?;
        Some(Trigger::Content(phrase.to_owned()))
    }

    /// `content.replace('words', 'other words')`
    fn rewritten(&mut self, value: &Value, arguments: &Arguments) {
        let texts: Vec<&str> = arguments.texts().collect();
        if let [from, to, ..] = texts.as_slice()
            && value.content
            && prose::is_trigger(from)
            && to.chars().any(char::is_alphabetic)
        {
            self.notes.hit(&rules::REWRITES_CONTENT, format!("replaces `{from}` by `{to}` in a message"));
        }
    }
}

fn listed(items: Vec<Value>) -> Value {
    let content = items.iter().any(|v| v.content);
    let constants: Option<Vec<_>> = items.into_iter().take(65).map(|v| v.constant).collect();
    Value { constant: constants.filter(|c| c.len() <= 64).map(Constant::List), content, ..Value::default() }
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

/// What a comparison of two values asks for.
fn compared(left: &Value, right: &Value, operator: &str) -> Option<Trigger> {
    for (content, other) in [(right, left), (left, right)] {
        if content.content
            && let Some(phrase) = other.texts().into_iter().find(|t| prose::is_trigger(t))
        {
            return Some(Trigger::Content(phrase.to_owned()));
        }
        let known = match &other.constant {
            Some(Constant::Text(text)) => !text.trim().is_empty(),
            other => other.is_some(),
        };
        if content.time && known && operator != "is" {
            return Some(Trigger::Date);
        }
    }
    None
}
