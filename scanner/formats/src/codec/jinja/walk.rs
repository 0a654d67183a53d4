//! Statements: what is put out under which condition, what is assigned, which
//! loops multiply.

use crate::codec::jinja::constant::Constant;
use crate::codec::jinja::expression::{Expression, SPEECH_WORDS_MIN, is_content_name};
use crate::codec::jinja::lexer::{Lexer, Piece, Token};
use crate::codec::jinja::notes::Notes;
use crate::codec::jinja::prose;
use crate::codec::jinja::rules;
use crate::codec::jinja::scope::{Scope, Trigger, Value};

/// Most open blocks; more are refused as too complex.
const BLOCKS_MAX: usize = 256;
/// Rounds of nested loops together from which they only serve to exhaust.
const BOMB_ROUNDS: u64 = 100_000_000;
/// Words from which what is put out on a date is language; dates themselves
/// are put together out of shorter pieces.
const DATED_WORDS_MIN: usize = 4;

/// An open block.
struct Block {
    /// `if`, `for`, `macro`, …: what its end tag names.
    kind: String,
    triggers: Vec<Trigger>,
    rounds: u64,
    /// Name of the macro, if it is one.
    name: Option<String>,
}

/// A walk over a whole template.
#[derive(Default)]
pub struct Walk {
    /// What was noticed.
    pub notes: Notes,
    scope: Scope,
    blocks: Vec<Block>,
}

impl Walk {
    /// Walks `template` from start to end.
    pub fn run(&mut self, template: &str) {
        let mut lexer = Lexer::new(template);
        loop {
            let line = lexer.line();
            let Some(piece) = lexer.next() else {
                self.finish(lexer.unclosed());
                break;
            };
            self.notes.begin(line);
            match piece {
                Piece::Text(text) => self.speak(text),
                Piece::Output(tokens) => self.output(&tokens),
                Piece::Statement(tokens) => self.statement(&tokens),
            }
        }
    }

    /// Judges how the template ended.
    fn finish(&mut self, unclosed: bool) {
        self.notes.too_complex |= self.scope.is_full();
        if unclosed {
            self.notes.hit(&rules::UNFINISHED, "a tag, comment or string is not closed");
        } else if let Some(block) = self.blocks.iter().find(|b| matches!(b.kind.as_str(), "if" | "for" | "macro")) {
            let kind = block.kind.clone();
            self.notes.hit(&rules::UNFINISHED, format!("a block `{kind}` is not closed"));
        }
    }

    fn output(&mut self, tokens: &[Token<'_>]) {
        self.check_tokens(tokens);
        self.walk_rest(tokens);
        self.put_out();
        self.recursion();
    }

    fn statement(&mut self, tokens: &[Token<'_>]) {
        let Some((Token::Name(keyword), rest)) = tokens.split_first() else { return };
        self.check_tokens(rest);
        match *keyword {
            "if" => {
                let triggers = self.test(rest);
                self.open("if", triggers, 1, None);
            }
            "elif" => {
                let triggers = self.test(rest);
                if let Some(block) = self.blocks.iter_mut().rfind(|b| b.kind == "if") {
                    block.triggers.extend(triggers);
                }
            }
            "for" => self.loop_over(rest),
            "set" => self.set(rest),
            "macro" => self.declare(rest),
            "filter" => {
                Expression::new(rest, &self.scope, &mut self.notes).filter(Value::default());
                self.open("filter", Vec::new(), 1, None);
            }
            "call" | "with" | "block" | "autoescape" | "trans" | "generation" => {
                self.walk_rest(rest);
                self.open(keyword, Vec::new(), 1, None);
                self.put_out();
            }
            "include" | "import" | "from" | "extends" => {
                let what = rest.iter().find_map(|t| match t {
                    Token::Text(text) => Some(prose::shortened(text)),
                    _ => None,
                });
                let what = what.unwrap_or_else(|| "a computed name".to_owned());
                self.notes.hit(&rules::LOADS_FILE, format!("`{keyword}` of `{what}`"));
                self.walk_rest(rest);
            }
            "debug" => self.notes.hit(&rules::REACHES_OBJECT, "`debug` puts out the whole context"),
            "else" | "break" | "continue" => {}
            _ => match keyword.strip_prefix("end") {
                Some(kind) => self.close(kind),
                None => {
                    self.walk_rest(rest);
                    self.put_out();
                    self.recursion();
                }
            },
        }
    }

    /// Every identifier and literal, whatever the grammar makes of it.
    fn check_tokens(&mut self, tokens: &[Token<'_>]) {
        for token in tokens {
            match token {
                Token::Name(name) => self.notes.check_name(name),
                Token::Text(text) => self.notes.check_text(text),
                _ => {}
            }
        }
    }

    fn walk_rest<'t>(&mut self, mut rest: &[Token<'t>]) {
        while !rest.is_empty() {
            let mut expression = Expression::new(rest, &self.scope, &mut self.notes);
            expression.tuple();
            rest = after(rest, expression.rest());
        }
    }

    /// A condition; says what it asks for that it should not.
    fn test(&mut self, tokens: &[Token<'_>]) -> Vec<Trigger> {
        let value = Expression::new(tokens, &self.scope, &mut self.notes).tuple();
        let mut triggers: Vec<Trigger> = self.notes.conditions.drain(..).collect();
        triggers.extend(value.trigger);
        self.report_phrases(&triggers);
        triggers
    }

    /// Whole phrases and host names need no further proof.
    fn report_phrases(&mut self, triggers: &[Trigger]) {
        for trigger in triggers {
            if let Trigger::Content(phrase) = trigger
                && (prose::word_count(phrase) >= 2 || is_host(phrase))
            {
                self.notes.hit(&rules::CONTENT_TRIGGER, format!("asks whether a message holds `{phrase}`"));
            }
        }
    }

    fn loop_over(&mut self, tokens: &[Token<'_>]) {
        let at = tokens.iter().position(|t| *t == Token::Name("in")).unwrap_or(tokens.len());
        let (targets, rest) = tokens.split_at_checked(at).unwrap_or((tokens, &[]));
        let mut expression = Expression::new(rest, &self.scope, &mut self.notes);
        expression.take("in");
        let mut iterated = expression.disjunction();
        let mut rest = expression.rest();
        if let Some(Token::Op(",")) = rest.first() {
            // A tuple without brackets.
            let start = tokens.get(at + 1..).unwrap_or_default();
            let mut expression = Expression::new(start, &self.scope, &mut self.notes);
            iterated = expression.tuple();
            rest = expression.rest();
        }
        self.bind_loop(targets, &iterated);
        let rounds = iterated.rounds.unwrap_or(1).max(1);
        let condition = rest.strip_prefix(&[Token::Name("if")]).unwrap_or_default();
        let triggers = if condition.is_empty() { Vec::new() } else { self.test(condition) };
        self.open("for", triggers, rounds, None);
        let together = self.blocks.iter().fold(1u64, |product, b| product.saturating_mul(b.rounds));
        if together >= BOMB_ROUNDS {
            self.notes.hit(&rules::RESOURCE_BOMB, format!("nested loops of {together} rounds"));
        }
    }

    fn bind_loop(&mut self, targets: &[Token<'_>], iterated: &Value) {
        let single = targets.len() == 1;
        for target in targets {
            let Token::Name(name) = target else { continue };
            let constant = match &iterated.constant {
                Some(Constant::List(items)) if single => Some(Constant::OneOf(items.clone())),
                _ => None,
            };
            let value = Value {
                constant,
                content: iterated.content || is_content_name(name) && iterated.rounds.is_none(),
                time: iterated.time,
                ..Value::default()
            };
            self.scope.bind(name, value);
        }
    }

    fn set(&mut self, tokens: &[Token<'_>]) {
        let mut brackets = 0i32;
        let equals = tokens.iter().position(|t| {
            match t {
                Token::Op("(" | "[" | "{") => brackets += 1,
                Token::Op(")" | "]" | "}") => brackets -= 1,
                _ => {}
            }
            brackets == 0 && *t == Token::Op("=")
        });
        let Some(at) = equals else {
            // `{% set name %}…{% endset %}`, perhaps through a filter.
            if let Some((Token::Name(name), rest)) = tokens.split_first() {
                let rest = rest.strip_prefix(&[Token::Op("|")]).unwrap_or(rest);
                if !rest.is_empty() {
                    Expression::new(rest, &self.scope, &mut self.notes).filter(Value::default());
                }
                self.scope.bind(name, Value::default());
            }
            self.open("set", Vec::new(), 1, None);
            return;
        };
        let (targets, value) = tokens.split_at_checked(at).unwrap_or((tokens, &[]));
        let value = value.get(1..).unwrap_or_default();
        let mut value = Expression::new(value, &self.scope, &mut self.notes).tuple();
        value.path = None;
        self.put_out();
        self.recursion();
        let names: Vec<String> = targets.split(|t| *t == Token::Op(",")).filter_map(dotted).collect();
        if let [name] = names.as_slice() {
            if value.trigger.is_none() {
                value.trigger = self.notes.conditions.first().cloned();
            }
            self.scope.bind(name, value);
            return;
        }
        for (n, name) in names.iter().enumerate() {
            let constant = match &value.constant {
                Some(Constant::List(items)) => items.get(n).cloned(),
                _ => None,
            };
            self.scope.bind(name, Value { constant, content: value.content, time: value.time, ..Value::default() });
        }
    }

    fn declare(&mut self, tokens: &[Token<'_>]) {
        let name = match tokens.first() {
            Some(Token::Name(name)) => Some((*name).to_owned()),
            _ => None,
        };
        for pair in tokens.windows(2) {
            if let [Token::Op("(" | ","), Token::Name(parameter)] = pair {
                let content = is_content_name(parameter);
                self.scope.bind(parameter, Value { content, ..Value::default() });
            }
        }
        self.walk_rest(tokens.get(1..).unwrap_or_default());
        if let Some(name) = &name {
            self.scope.declare(name, false);
        }
        self.open("macro", Vec::new(), 1, name);
    }

    fn open(&mut self, kind: &str, triggers: Vec<Trigger>, rounds: u64, name: Option<String>) {
        if self.blocks.len() >= BLOCKS_MAX {
            self.notes.too_complex = true;
            return;
        }
        self.blocks.push(Block { kind: kind.to_owned(), triggers, rounds, name });
    }

    fn close(&mut self, kind: &str) {
        if let Some(at) = self.blocks.iter().rposition(|b| b.kind == kind) {
            self.blocks.truncate(at);
        }
    }

    /// Judges the literals of the current tag, put out together.
    fn put_out(&mut self) {
        let text = self.notes.literals.concat();
        let inline: Vec<Trigger> = self.notes.conditions.clone();
        self.report_phrases(&inline);
        self.judge(&text, &inline);
    }

    fn speak(&mut self, text: &str) {
        self.judge(text, &[]);
    }

    /// Judges `text`, put out under the open blocks' conditions and `inline`.
    fn judge(&mut self, text: &str, inline: &[Trigger]) {
        self.notes.check_prose(text);
        let words = prose::word_count(text);
        let speaks = words >= SPEECH_WORDS_MIN || self.notes.speaks;
        if speaks && let Some(name) = self.blocks.iter().rev().find_map(|b| b.name.as_deref()) {
            self.scope.declare(name, true);
        }
        let Some(trigger) = self.blocks.iter().flat_map(|b| &b.triggers).chain(inline).next().cloned() else { return };
        let dated = trigger == Trigger::Date && (words >= DATED_WORDS_MIN || self.notes.speaks);
        match trigger {
            Trigger::Content(phrase) if speaks => {
                let said = prose::shortened(text.trim());
                self.notes.hit(&rules::CONTENT_TRIGGER, format!("if a message holds `{phrase}`, puts out `{said}`"));
            }
            Trigger::Date if dated => {
                let said = prose::shortened(text.trim());
                self.notes.hit(&rules::DATE_TRIGGER, format!("depending on the date, puts out `{said}`"));
            }
            _ => {}
        }
    }

    /// A macro that calls itself whatever its arguments are.
    fn recursion(&mut self) {
        let Some(at) = self.blocks.iter().rposition(|b| b.kind == "macro") else { return };
        let conditional = self.blocks.iter().skip(at).any(|b| matches!(b.kind.as_str(), "if" | "for"));
        let Some(name) = self.blocks.get(at).and_then(|b| b.name.clone()) else { return };
        if !conditional && self.notes.conditions.is_empty() && self.notes.called.contains(&name) {
            self.notes.hit(&rules::RESOURCE_BOMB, format!("the macro `{name}` calls itself without a condition"));
        }
    }
}

/// What to walk next: never the same tokens again.
fn after<'a, 't>(before: &'a [Token<'t>], rest: &'a [Token<'t>]) -> &'a [Token<'t>] {
    if rest.len() < before.len() { rest } else { before.get(1..).unwrap_or_default() }
}

/// `a.b` as one name.
fn dotted(target: &[Token<'_>]) -> Option<String> {
    let mut name = String::new();
    for token in target {
        match token {
            Token::Name(part) if name.is_empty() => name.push_str(part),
            Token::Name(part) => {
                name.push('.');
                name.push_str(part);
            }
            Token::Op("." | "(" | ")") => {}
            _ => return None,
        }
    }
    (!name.is_empty()).then_some(name)
}

/// Whether `text` is a host name: `bank.example.com`.
fn is_host(text: &str) -> bool {
    let text = text.trim();
    let mut labels = text.split('.');
    let valid = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.contains('.') && labels.all(valid) && text.rsplit('.').next().is_some_and(|last| last.len() >= 2)
}
