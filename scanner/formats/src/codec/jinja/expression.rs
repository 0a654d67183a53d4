//! Expressions (`jinja2/parser.py`), walked once: each part yields what is
//! known of its value, and what it reaches is noted on the way.

use crate::codec::jinja::constant::Constant;
use crate::codec::jinja::judge::compared;
use crate::codec::jinja::lexer::Token;
use crate::codec::jinja::names;
use crate::codec::jinja::notes::Notes;
use crate::codec::jinja::prose;
use crate::codec::jinja::rules;
use crate::codec::jinja::scope::{Scope, Value};

/// Deepest nesting of brackets followed.
const DEPTH_MAX: u32 = 40;
/// Exponents from here on.
const BOMB_EXPONENT: i64 = 10_000;
/// Words from which a literal is language.
pub const SPEECH_WORDS_MIN: usize = 3;

/// Keys and variables that hold what users wrote.
const CONTENT_NAMES: &str = "content text prompt query question instruction user_message user_input user_prompt input \
    last_user_message message_text user_content";

/// Whether a variable of this name holds what users wrote.
pub fn is_content_name(name: &str) -> bool {
    names::is_in(CONTENT_NAMES, name)
}

/// A walk over the tokens of one tag.
pub struct Expression<'a, 't, 's> {
    pub(super) tokens: &'a [Token<'t>],
    pub(super) at: usize,
    depth: u32,
    pub(super) scope: &'s Scope,
    pub(super) notes: &'s mut Notes,
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

    pub(super) fn peek(&self) -> Option<&'a Token<'t>> {
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

    pub(super) fn sum(&mut self) -> Value {
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

    pub(super) fn primary(&mut self) -> Value {
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
}

pub(super) fn listed(items: Vec<Value>) -> Value {
    let content = items.iter().any(|v| v.content);
    let constants: Option<Vec<_>> = items.into_iter().map(|v| v.constant).collect();
    Value { constant: constants.and_then(Constant::list), content, ..Value::default() }
}
