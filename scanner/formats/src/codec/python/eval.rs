//! Expressions, read and evaluated in one go as far as constants and names
//! carry. Nothing is executed: only text, bytes and numbers are folded.

use std::rc::Rc;

use super::lexer::{Kind, Literal, Token};
use super::value::{CONSTANT_MAX, Constant, Value, literal, taint};
use super::walk::Walker;

/// Deepest expression followed; what lies deeper is read flat. CPython refuses
/// more than 200 open brackets.
const DEPTH_MAX: usize = 100;
/// Most arguments and list items looked at singly.
const ITEMS_MAX: usize = 65_536;
/// What one item of a list costs of the budget, bytes.
const ITEM_COST: usize = 64;

/// Arguments of a call.
#[derive(Debug, Default)]
pub(super) struct Args {
    pub positional: Vec<Value>,
    pub keywords: Vec<(String, Value)>,
}

impl Args {
    pub fn first(&self) -> Option<&Value> {
        self.positional.first().or_else(|| self.keywords.first().map(|(_, v)| v))
    }

    pub fn get(&self, index: usize) -> Option<&Value> {
        self.positional.get(index)
    }

    pub fn keyword(&self, name: &str) -> Option<&Value> {
        self.keywords.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.positional.iter().chain(self.keywords.iter().map(|(_, v)| v))
    }

    pub fn taint(&self) -> u8 {
        self.all().fold(0, |t, v| t | v.origin())
    }
}

/// Keywords that end an operand.
const SEPARATORS: &[&str] =
    &["for", "async", "if", "else", "and", "or", "in", "is", "as", "import", "def", "class", "with", "return", "while"];

impl<'a> Walker<'a> {
    /// Expressions up to the end of the statement, `=`, `:` or a stray
    /// bracket; several, separated by commas, are their list.
    pub(super) fn expressions(&mut self) -> Value {
        let mut items = Vec::new();
        let mut listed = false;
        loop {
            let before = self.current.offset;
            if !self.ends_expressions() {
                let value = self.expression();
                self.push_item(&mut items, value);
            }
            if self.current.is("for") && !items.is_empty() {
                self.for_header();
            }
            if self.current.is(",") {
                listed = true;
                self.bump();
                continue;
            }
            if self.ends_expressions() || self.current.is("as") {
                break;
            }
            if self.current.offset == before {
                self.bump();
            }
        }
        match items.len() {
            1 if !listed => items.pop().unwrap_or_default(),
            _ => Self::list(items),
        }
    }

    fn ends_expressions(&self) -> bool {
        let assigns = self.current.kind == Kind::Op
            && self.current.text.ends_with('=')
            && !matches!(self.current.text, "==" | "!=" | "<=" | ">=" | ":=");
        matches!(self.current.kind, Kind::Newline | Kind::End)
            || assigns
            || [";", ":", ")", "]", "}"].iter().any(|end| self.current.is(end))
    }

    fn push_item(&mut self, items: &mut Vec<Value>, value: Value) {
        if items.len() < ITEMS_MAX && self.spend_for_items(1) {
            items.push(value);
        }
    }

    fn list(items: Vec<Value>) -> Value {
        let taint = items.iter().fold(0, |t, v| t | v.origin());
        Value::constant(Constant::Items(items)).with_taint(taint)
    }

    /// Takes `n` bytes from the budget for constants. A source that spends it
    /// all was not followed in full.
    pub(super) fn spend(&mut self, n: usize) -> bool {
        let left = self.budget.checked_sub(n);
        self.budget = left.unwrap_or(0);
        self.noted.dropped |= left.is_none();
        left.is_some()
    }

    /// Takes what `n` items cost. Long tables of numbers are honest: those
    /// that no longer fit are only not looked at.
    fn spend_for_items(&mut self, n: usize) -> bool {
        let left = self.item_budget.checked_sub(n.saturating_mul(ITEM_COST));
        self.item_budget = left.unwrap_or(0);
        left.is_some()
    }

    /// One expression: choices and truth tests.
    pub(super) fn expression(&mut self) -> Value {
        let mut value = self.comparison();
        loop {
            if self.current.is("if") {
                self.bump();
                self.comparison();
            } else if self.current.is("and") || self.current.is("or") || self.current.is("else") {
                self.bump();
                let other = self.comparison();
                value = value.or(other);
            } else {
                return value;
            }
        }
    }

    fn comparison(&mut self) -> Value {
        const OPERATORS: &[&str] = &["==", "!=", "<", ">", "<=", ">=", "in", "is"];
        let mut value = self.sum();
        loop {
            let not_in = self.current.is("not") && self.next.is("in");
            if !not_in && !OPERATORS.iter().any(|op| self.current.is(op)) {
                return value;
            }
            self.bump();
            if self.current.is("in") || self.current.is("not") {
                self.bump();
            }
            self.sum();
            value = Value::default();
        }
    }

    fn sum(&mut self) -> Value {
        let mut value = self.term();
        while self.current.kind == Kind::Op && matches!(self.current.text, "+" | "-" | "|" | "&" | "^" | "<<" | ">>") {
            let operator = self.bump();
            let other = self.term();
            value = self.fold(operator.text, &value, &other);
        }
        value
    }

    fn term(&mut self) -> Value {
        let mut value = self.unary();
        while self.current.kind == Kind::Op && matches!(self.current.text, "*" | "/" | "//" | "%" | "@" | "**") {
            let operator = self.bump();
            let other = self.unary();
            value = self.fold(operator.text, &value, &other);
        }
        value
    }

    fn unary(&mut self) -> Value {
        let mut negative = false;
        loop {
            match self.current.text {
                "-" if self.current.kind == Kind::Op => negative = !negative,
                "+" | "~" | "*" | "**" if self.current.kind == Kind::Op => {}
                "not" | "await" | "yield" | "from" if self.current.kind == Kind::Name => {}
                _ => break,
            }
            self.bump();
        }
        let value = self.primary();
        match value.int() {
            Some(n) if negative => Value::constant(Constant::Int(n.wrapping_neg())),
            _ => value,
        }
    }

    /// An atom and what follows it: attributes, calls, subscripts.
    fn primary(&mut self) -> Value {
        if self.depth >= DEPTH_MAX {
            self.bump();
            return Value::default();
        }
        self.depth += 1;
        let start = self.current;
        let mut value = self.atom();
        loop {
            if self.current.is(".") && self.next.kind == Kind::Name {
                self.bump();
                let name = self.bump();
                value = self.member(&value, name.text);
            } else if self.current.is("(") {
                self.bump();
                let args = self.arguments();
                value = self.call(&value, &args, start);
            } else if self.current.is("[") {
                self.bump();
                value = self.subscript(&value);
            } else {
                break;
            }
        }
        self.depth -= 1;
        value
    }

    fn atom(&mut self) -> Value {
        let token = self.current;
        match token.kind {
            Kind::Number(number) => {
                self.bump();
                number.map_or_else(Value::default, |n| Value::constant(Constant::Int(n)))
            }
            Kind::Text(_) => self.strings(),
            Kind::Name if token.text == "lambda" => self.lambda(),
            Kind::Name if SEPARATORS.contains(&token.text) => Value::default(),
            Kind::Name if matches!(token.text, "None" | "True" | "False") => {
                self.bump();
                Value::default()
            }
            Kind::Name => {
                self.bump();
                if self.current.is(":=") {
                    self.bump();
                    let value = self.expression();
                    self.bind(token.text, value.clone());
                    return value;
                }
                self.lookup(token.text)
            }
            Kind::Op if token.text == "(" || token.text == "[" => {
                self.bump();
                self.items(if token.text == "(" { ")" } else { "]" })
            }
            Kind::Op if token.text == "{" => {
                self.bump();
                self.items("}")
            }
            Kind::Op if matches!(token.text, "..." | "`" | "$" | "?" | "!") => {
                self.bump();
                Value::default()
            }
            _ => Value::default(),
        }
    }

    /// What stands in brackets, up to and with `close`.
    fn items(&mut self, close: &str) -> Value {
        let mut items = Vec::new();
        let mut listed = close != ")";
        while !matches!(self.current.kind, Kind::Newline | Kind::End) {
            if self.current.is(close) {
                self.bump();
                break;
            }
            let before = self.current.offset;
            if self.current.is(",") || self.current.is(":") {
                listed = true;
                self.bump();
            } else if self.current.is("for") || self.current.is("async") && self.next.is("for") {
                let each = self.comprehension();
                self.push_item(&mut items, each);
            } else if self.closes() {
                break;
            } else {
                let value = self.expression();
                self.push_item(&mut items, value);
            }
            if self.current.offset == before {
                self.bump();
            }
        }
        if items.len() == 1 && !listed { items.pop().unwrap_or_default() } else { Self::list(items) }
    }

    /// Whether another bracket than the expected one closes.
    fn closes(&self) -> bool {
        [")", "]", "}"].iter().any(|close| self.current.is(close))
    }

    /// `for x in values`; only where the values come from is kept.
    fn comprehension(&mut self) -> Value {
        if self.current.is("async") {
            self.bump();
        }
        self.bump();
        while !self.current.is("in") && !self.closes() && !matches!(self.current.kind, Kind::Newline | Kind::End) {
            self.bump();
        }
        if self.current.is("in") {
            self.bump();
            let values = self.expression();
            return Value::tainted(values.origin() & !taint::PARTIAL);
        }
        Value::default()
    }

    /// Arguments up to and with the closing parenthesis.
    pub(super) fn arguments(&mut self) -> Args {
        let mut args = Args::default();
        while !matches!(self.current.kind, Kind::Newline | Kind::End) {
            if self.current.is(")") {
                self.bump();
                break;
            }
            let before = self.current.offset;
            if self.current.is(",") {
                self.bump();
            } else if self.current.is("for") || self.current.is("async") && self.next.is("for") {
                let each = self.comprehension();
                self.push_item(&mut args.positional, each);
            } else if self.closes() {
                break;
            } else if self.current.kind == Kind::Name && self.next.is("=") {
                let name = self.bump();
                self.bump();
                let value = self.expression();
                if args.keywords.len() < ITEMS_MAX && self.spend_for_items(1) {
                    args.keywords.push((name.text.to_owned(), value));
                }
            } else {
                let starred = self.current.is("*");
                let value = self.expression();
                match value.items() {
                    Some(items) if starred && self.spend_for_items(items.len()) => {
                        args.positional.extend_from_slice(items);
                    }
                    _ => self.push_item(&mut args.positional, value),
                }
            }
            if self.current.offset == before {
                self.bump();
            }
        }
        args
    }

    fn lambda(&mut self) -> Value {
        self.bump();
        while !self.current.is(":") && !self.closes() && !matches!(self.current.kind, Kind::Newline | Kind::End) {
            self.bump();
            if self.current.is("=") {
                self.bump();
                self.expression();
            }
        }
        if self.current.is(":") {
            self.bump();
        }
        self.expression()
    }

    /// One or more adjacent string literals.
    fn strings(&mut self) -> Value {
        let mut value: Option<Value> = None;
        while let Kind::Text(shape) = self.current.kind {
            let token = self.bump();
            let next = if shape.formatted { self.formatted(token, shape) } else { Self::plain(&token, shape) };
            value = Some(match value {
                None => next,
                Some(before) => self.fold("+", &before, &next),
            });
        }
        self.marked_secret(value.unwrap_or_default())
    }

    fn plain(token: &Token<'a>, shape: Literal) -> Value {
        Value::constant(literal(token, shape))
    }

    /// An f-string: its replacement fields are expressions that run.
    fn formatted(&mut self, token: Token<'a>, shape: Literal) -> Value {
        let content = token.content(shape);
        let mut out = String::new();
        let mut flags = 0;
        let mut rest = content;
        while let Some(at) = rest.find(['{', '}']) {
            let (text, from) = rest.split_at(at);
            out.push_str(text);
            if from.starts_with("{{") || from.starts_with("}}") {
                out.push_str(from.get(..1).unwrap_or_default());
                rest = from.get(2..).unwrap_or_default();
                continue;
            }
            if from.starts_with('}') {
                rest = from.get(1..).unwrap_or_default();
                continue;
            }
            let end = field_end(from);
            let field = from.get(1..end).unwrap_or_default();
            rest = from.get(end + 1..).unwrap_or_default();
            let value = self.field(field, token.line);
            match value.text() {
                Some(text) if value.taint & taint::PARTIAL == 0 && out.len() + text.len() < CONSTANT_MAX => {
                    out.push_str(text);
                }
                _ => {
                    out.push('_');
                    flags |= taint::PARTIAL;
                }
            }
            flags |= value.taint;
        }
        out.push_str(rest);
        if self.spend(out.len()) {
            Value::constant(Constant::Text(out)).with_taint(flags)
        } else {
            Value::tainted(flags | taint::PARTIAL)
        }
    }

    fn field(&mut self, field: &'a str, line: u32) -> Value {
        if self.depth >= DEPTH_MAX || field.is_empty() {
            return Value::default();
        }
        self.depth += 1;
        let value = self.aside(field, line, |inner| {
            let value = inner.expressions();
            while inner.current.kind != Kind::End {
                inner.bump();
                inner.expressions();
            }
            value
        });
        self.depth -= 1;
        value
    }

    fn member(&mut self, value: &Value, name: &str) -> Value {
        if let Some(path) = &value.path {
            let dotted = format!("{path}.{name}");
            if let Some(bound) = self.attribute(&dotted) {
                return bound;
            }
            if path.as_ref() == "self"
                && let Some(def) = self.own_method(name)
            {
                return Value { local: Some(def), ..Value::path(dotted) };
            }
        }
        value.attribute(name)
    }

    /// `value[…]`, after the opening bracket.
    fn subscript(&mut self, value: &Value) -> Value {
        let start = self.current.offset;
        let index = self.items("]");
        let written = self.source.get(start..self.current.offset).unwrap_or_default();
        if written.split(']').next().is_some_and(|s| s.replace(' ', "") == "::-1") {
            return self.reversed(value);
        }
        let index = index.items().and_then(<[Value]>::first).cloned().unwrap_or(index);
        let text = index.text().filter(|_| index.taint & taint::PARTIAL == 0);
        let path = value.path_text();
        let out = match text {
            Some(name) if path == "sys.modules" => Some(Value::path(name)),
            Some(name) if matches!(path, "builtins.globals()" | "builtins.locals()" | "builtins.vars()") => {
                Some(self.lookup(name))
            }
            Some(name) if path == "builtins.__builtins__" => Some(Value::path(format!("builtins.{name}"))),
            Some(name) => match path.strip_suffix(".__dict__") {
                Some(module) => Some(Value::path(module).attribute(name)),
                None if value.taint & taint::INTROSPECTED != 0 && super::danger::is_builtin(name) => {
                    Some(Value::path(format!("builtins.{name}")))
                }
                None if value.taint & taint::INTROSPECTED != 0 => Some(Value::path(name)),
                None if path == "os.environ" => Some(Value::path("os.environ[]")),
                None => None,
            },
            None => index
                .int()
                .and_then(|n| usize::try_from(n).ok())
                .and_then(|n| value.items().and_then(|items| items.get(n)).cloned()),
        };
        // A choice among functions may pick any of them.
        let out = out.or_else(|| {
            value
                .items()
                .filter(|items| items.len() <= 64)
                .and_then(|items| items.iter().find(|v| super::danger::classify(v.path_text()).is_some()).cloned())
        });
        out.unwrap_or_default().with_taint(value.taint)
    }

    fn reversed(&mut self, value: &Value) -> Value {
        if !self.spend(value.weight()) {
            return Value::tainted(value.taint | taint::DECODED);
        }
        match value.constant.as_deref() {
            Some(Constant::Text(text)) => Value::constant(Constant::Text(text.chars().rev().collect())),
            Some(Constant::Bytes(bytes)) => Value::constant(Constant::Bytes(bytes.iter().rev().copied().collect())),
            Some(Constant::Items(items)) => Value::constant(Constant::Items(items.iter().rev().cloned().collect())),
            _ => Value::default(),
        }
        .with_taint(value.taint | taint::DECODED)
    }

    /// The value of a binary operation on constants.
    pub(super) fn fold(&mut self, operator: &str, left: &Value, right: &Value) -> Value {
        let flags = left.taint | right.taint;
        let weight = left.weight().saturating_add(right.weight());
        let constants = (left.constant.as_deref(), right.constant.as_deref());
        let constant = match (operator, constants) {
            (_, (Some(Constant::Int(a)), Some(Constant::Int(b)))) => integer(operator, *a, *b).map(Constant::Int),
            ("+", (Some(a), Some(b))) if weight <= CONSTANT_MAX && self.spend(weight) => concatenated(a, b),
            ("+", (Some(Constant::Text(a)), None)) if self.spend(weight) => {
                return Value::constant(Constant::Text(format!("{a}_"))).with_taint(flags | taint::PARTIAL);
            }
            ("+", (None, Some(Constant::Text(b)))) if self.spend(weight) => {
                return Value::constant(Constant::Text(format!("_{b}"))).with_taint(flags | taint::PARTIAL);
            }
            ("*", (Some(a), Some(Constant::Int(n)))) | ("*", (Some(Constant::Int(n)), Some(a))) => {
                let times = usize::try_from(*n).unwrap_or(0);
                let total = weight.saturating_mul(times);
                if total <= CONSTANT_MAX && self.spend(total) { repeated(a, times) } else { None }
            }
            ("%", (Some(Constant::Text(template)), _)) => {
                return Value { constant: left.constant.clone(), ..Value::default() }
                    .with_taint(flags | if template.contains('%') { taint::PARTIAL } else { 0 });
            }
            _ => None,
        };
        match constant {
            Some(constant) => Value { constant: Some(Rc::new(constant)), ..Value::default() }.with_taint(flags),
            None if operator == "/" => Value::default().with_taint(flags | taint::PARTIAL),
            None => Value::tainted(flags | taint::PARTIAL),
        }
    }
}

fn integer(operator: &str, a: i64, b: i64) -> Option<i64> {
    match operator {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "^" => Some(a ^ b),
        "&" => Some(a & b),
        "|" => Some(a | b),
        "//" => a.checked_div_euclid(b),
        "%" => a.checked_rem_euclid(b),
        _ => None,
    }
}

fn concatenated(a: &Constant, b: &Constant) -> Option<Constant> {
    match (a, b) {
        (Constant::Text(a), Constant::Text(b)) => Some(Constant::Text(format!("{a}{b}"))),
        (Constant::Bytes(a), Constant::Bytes(b)) => Some(Constant::Bytes([a.as_slice(), b].concat())),
        (Constant::Items(a), Constant::Items(b)) => Some(Constant::Items([a.as_slice(), b].concat())),
        _ => None,
    }
}

fn repeated(a: &Constant, times: usize) -> Option<Constant> {
    match a {
        Constant::Text(text) => Some(Constant::Text(text.repeat(times))),
        Constant::Bytes(bytes) => Some(Constant::Bytes(bytes.repeat(times))),
        _ => None,
    }
}

/// Index of the brace that closes the field at the start of `from`.
fn field_end(from: &str) -> usize {
    let mut depth = 0u32;
    let mut quote = None;
    for (index, byte) in from.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    from.len()
}
