//! Statements: imports, assignments, definitions, blocks. Follows names
//! through them and notes every call with the place it stands in.

use std::collections::HashMap;

use super::danger;
use super::lexer::{Kind, Lexer, Token};
use super::noted::{Def, Noted, Place};
use super::value::Value;

/// Most targets of one unpacking assignment.
const TARGETS_MAX: usize = 32;
/// Longest assignment target followed, bytes.
const TARGET_BYTES_MAX: usize = 400;

/// Deepest nesting of definitions and blocks kept apart; what lies deeper
/// counts to the last. CPython refuses more than 100 levels of indentation.
const BLOCKS_MAX: usize = 100;

/// What a first pass learnt, so that the second knows names that are bound
/// further down.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub names: HashMap<String, Value>,
    pub attributes: HashMap<String, Value>,
    pub methods: HashMap<(usize, String), usize>,
    pub returns: HashMap<usize, Value>,
}

#[derive(Debug)]
enum ScopeKind {
    Module,
    Class(usize),
    Function(usize),
}

#[derive(Debug)]
struct Scope {
    kind: ScopeKind,
    names: HashMap<String, Value>,
}

enum Block {
    Scope,
    MainGuard,
}

/// One pass over a source.
pub(super) struct Walker<'a> {
    lexer: Lexer<'a>,
    pub(super) source: &'a str,
    pub(super) current: Token<'a>,
    pub(super) next: Token<'a>,
    scopes: Vec<Scope>,
    blocks: Vec<(u32, Block)>,
    known: &'a Known,
    stars: Vec<String>,
    pub(super) learnt: Known,
    pub(super) noted: Noted,
    /// Bytes of constants that may still be computed.
    pub(super) budget: usize,
    /// The same for items of lists, so that tables leave room for text.
    pub(super) item_budget: usize,
    /// Depth of the expression being read.
    pub(super) depth: usize,
    /// Sources in sources: `exec("exec('…')")`.
    pub(super) nesting: usize,
}

impl<'a> Walker<'a> {
    pub fn new(source: &'a str, known: &'a Known, budget: usize, nesting: usize) -> Self {
        let mut lexer = Lexer::new(source);
        let current = lexer.next_token();
        let next = lexer.next_token();
        let module = Scope { kind: ScopeKind::Module, names: HashMap::new() };
        Self {
            lexer,
            source,
            current,
            next,
            scopes: vec![module],
            blocks: Vec::new(),
            known,
            stars: Vec::new(),
            learnt: Known::default(),
            noted: Noted::default(),
            budget,
            item_budget: budget,
            depth: 0,
            nesting,
        }
    }

    /// Reads the whole source.
    pub fn run(&mut self) {
        while self.current.kind != Kind::End {
            if self.current.kind == Kind::Newline {
                self.bump();
                continue;
            }
            let indent = self.current.indent.unwrap_or(0);
            self.leave_blocks(indent);
            self.line(indent);
        }
        if let Some(module) = self.scopes.first_mut() {
            self.learnt.names = std::mem::take(&mut module.names);
        }
    }

    pub(super) fn bump(&mut self) -> Token<'a> {
        let token = self.current;
        self.current = self.next;
        self.next = self.lexer.next_token();
        token
    }

    /// Reads `text` in place of what follows, then returns to it.
    pub(super) fn aside<T>(&mut self, text: &'a str, line: u32, f: impl FnOnce(&mut Self) -> T) -> T {
        let mut lexer = Lexer::expression(text, line);
        let (current, next) = (lexer.next_token(), lexer.next_token());
        let saved = (
            std::mem::replace(&mut self.lexer, lexer),
            std::mem::replace(&mut self.current, current),
            std::mem::replace(&mut self.next, next),
        );
        let out = f(self);
        (self.lexer, self.current, self.next) = saved;
        out
    }

    fn leave_blocks(&mut self, indent: u32) {
        while self.blocks.last().is_some_and(|(header, _)| indent <= *header) {
            if let Some((_, Block::Scope)) = self.blocks.pop() {
                self.scopes.pop();
            }
        }
    }

    /// The statements of one logical line.
    fn line(&mut self, indent: u32) {
        loop {
            let before = self.current.offset;
            self.statement(indent);
            if matches!(self.current.kind, Kind::Newline | Kind::End) {
                self.bump();
                return;
            }
            if self.current.is(";") || self.current.is(":") || self.current.offset == before {
                self.bump();
            }
        }
    }

    fn statement(&mut self, indent: u32) {
        let word = if self.current.kind == Kind::Name { self.current.text } else { "" };
        match word {
            "import" => self.import(),
            "from" => self.import_from(),
            "def" => self.define(indent),
            "class" => self.class(indent),
            "if" => {
                let guard = self.is_main_guard();
                self.bump();
                self.expressions();
                if guard && self.current.is(":") && self.blocks.len() < BLOCKS_MAX {
                    self.blocks.push((indent, Block::MainGuard));
                }
            }
            "for" => self.for_header(),
            "with" => self.with_header(),
            "except" => {
                self.bump();
                self.expressions();
                if self.current.is("as") {
                    self.bump();
                    let name = self.bump();
                    self.bind(name.text, Value::default());
                }
            }
            "return" => {
                self.bump();
                let value = self.expressions();
                self.returned(value);
            }
            "exec" if matches!(self.next.kind, Kind::Text(_)) => {
                // The statement of Python 2.
                let callee = Value::path("builtins.exec");
                let token = self.bump();
                let value = self.expressions();
                self.call(&callee, &super::eval::Args { positional: vec![value], ..Default::default() }, token);
            }
            "async" | "elif" | "while" | "try" | "else" | "finally" | "raise" | "assert" | "del" | "global"
            | "nonlocal" | "pass" | "break" | "continue" => {
                self.bump();
                if word != "async" {
                    self.expressions();
                }
            }
            _ if self.current.is("@") => {
                self.bump();
                let value = self.expressions();
                self.leads_to(&value);
            }
            _ => self.assignment(),
        }
    }

    /// `if __name__ == "__main__"`, exactly.
    fn is_main_guard(&self) -> bool {
        let mut ahead = self.lexer.clone();
        let tokens = [self.next, ahead.next_token(), ahead.next_token(), ahead.next_token()];
        let is_name = |t: &Token<'_>| t.is("__name__");
        let is_main = |t: &Token<'_>| matches!(t.kind, Kind::Text(literal) if t.content(literal) == "__main__");
        let [left, operator, right, colon] = &tokens;
        let compares = is_name(left) && is_main(right) || is_main(left) && is_name(right);
        compares && operator.is("==") && colon.is(":")
    }

    /// `import a.b as c, d`
    fn import(&mut self) {
        self.bump();
        loop {
            let line = self.current.line;
            let module = self.dotted();
            if module.is_empty() {
                return;
            }
            self.noted.import(&module, line);
            if self.current.is("as") {
                self.bump();
                let name = self.bump();
                self.bind(name.text, Value::path(&module));
            } else if let Some(top) = module.split('.').next() {
                self.bind(top, Value::path(top));
            }
            if !self.current.is(",") {
                return;
            }
            self.bump();
        }
    }

    /// `from a.b import c as d, e`, `from a import *`
    fn import_from(&mut self) {
        self.bump();
        let line = self.current.line;
        let mut module = String::new();
        while self.current.is(".") || self.current.is("...") {
            module.push_str(self.bump().text);
        }
        module.push_str(&self.dotted());
        if !self.current.is("import") {
            return;
        }
        self.bump();
        self.noted.import(&module, line);
        while !matches!(self.current.kind, Kind::Newline | Kind::End) && !self.current.is(";") {
            let token = self.bump();
            if token.is("*") {
                if !self.stars.contains(&module) && danger::is_listed_module(&module) {
                    self.stars.push(module.clone());
                }
            } else if token.kind == Kind::Name && module.starts_with('.') {
                self.imported_name(token, Value::default());
            } else if token.kind == Kind::Name {
                self.imported_name(token, Value::path(format!("{module}.{}", token.text)));
            }
        }
    }

    fn imported_name(&mut self, token: Token<'a>, value: Value) {
        let mut name = token.text;
        if self.current.is("as") {
            self.bump();
            name = self.bump().text;
        }
        self.bind(name, value);
    }

    fn dotted(&mut self) -> String {
        let mut out = String::new();
        while self.current.kind == Kind::Name && !self.current.is("import") && out.len() < TARGET_BYTES_MAX {
            out.push_str(self.bump().text);
            if !self.current.is(".") {
                break;
            }
            out.push_str(self.bump().text);
        }
        out
    }

    fn define(&mut self, indent: u32) {
        self.bump();
        let name = self.bump();
        let class = self.scopes.last().and_then(|s| match s.kind {
            ScopeKind::Class(class) => Some(class),
            _ => None,
        });
        let mut names = HashMap::new();
        self.parameters(&mut names, class.is_some());
        if self.current.is("->") {
            self.bump();
            self.expressions();
        }
        let def = self.noted.define(Def { name: name.text.to_owned(), class, is_class: false, derived: false });
        if let Some(class) = class {
            self.learnt.methods.insert((class, name.text.to_owned()), def);
        }
        self.bind(name.text, Value { local: Some(def), ..Value::default() });
        self.enter(indent, Scope { kind: ScopeKind::Function(def), names });
    }

    /// Names, annotations and defaults up to the closing parenthesis.
    fn parameters(&mut self, names: &mut HashMap<String, Value>, method: bool) {
        while !self.current.is("(") && !self.current.is(":") && !self.at_line_end() {
            self.bump();
        }
        if !self.current.is("(") {
            return;
        }
        self.bump();
        while !self.current.is(")") && !self.at_line_end() {
            let token = self.bump();
            if token.kind == Kind::Name {
                let value = if method && names.is_empty() { Value::path("self") } else { Value::default() };
                names.insert(token.text.to_owned(), value);
            }
            if self.current.is(":") || self.current.is("=") {
                self.bump();
                self.expression();
            }
        }
        self.bump();
    }

    fn class(&mut self, indent: u32) {
        self.bump();
        let name = self.bump();
        while !self.current.is("(") && !self.current.is(":") && !self.at_line_end() {
            self.bump();
        }
        let mut derived = false;
        if self.current.is("(") {
            self.bump();
            let bases = self.arguments();
            derived = bases.positional.iter().any(|b| b.path_text() != "builtins.object") || !bases.keywords.is_empty();
        }
        let def = self.noted.define(Def { name: name.text.to_owned(), class: None, is_class: true, derived });
        self.bind(name.text, Value { local: Some(def), ..Value::default() });
        self.enter(indent, Scope { kind: ScopeKind::Class(def), names: HashMap::new() });
    }

    fn enter(&mut self, indent: u32, scope: Scope) {
        if self.blocks.len() < BLOCKS_MAX {
            self.scopes.push(scope);
            self.blocks.push((indent, Block::Scope));
        }
    }

    fn at_line_end(&self) -> bool {
        matches!(self.current.kind, Kind::Newline | Kind::End)
    }

    /// `for target in values`
    pub(super) fn for_header(&mut self) {
        self.bump();
        let start = self.current.offset;
        while !self.current.is("in") && !self.at_line_end() && !self.current.is(":") {
            self.bump();
        }
        let target = self.source_between(start, self.current.offset);
        if self.current.is("in") {
            self.bump();
        }
        let values = self.expressions();
        let each = values.items().map_or_else(
            || Value::tainted(values.taint),
            |items| items.iter().take(TARGETS_MAX).cloned().fold(Value::default(), Value::or),
        );
        self.assign(target, &each);
    }

    /// `with a as b, c as d`
    fn with_header(&mut self) {
        self.bump();
        loop {
            if self.current.is("(") && self.next.kind != Kind::Op {
                self.bump();
            }
            let value = self.expression();
            if self.current.is("as") {
                self.bump();
                let target = self.bump();
                self.bind(target.text, value);
            }
            if self.current.is(")") {
                self.bump();
            }
            if !self.current.is(",") {
                return;
            }
            self.bump();
        }
    }

    /// An expression, or `a = b = value`, `a: T = value`, `a += value`.
    fn assignment(&mut self) {
        let mut targets: Vec<&'a str> = Vec::new();
        loop {
            let start = self.current.offset;
            let value = self.expressions();
            let target = self.source_between(start, self.current.offset);
            if self.current.is(":") && targets.is_empty() && self.next.kind != Kind::Newline {
                // An annotation; or the body after a soft keyword's header.
                self.bump();
                self.expressions();
            }
            if self.current.is("=") {
                self.bump();
                if targets.len() < TARGETS_MAX {
                    targets.push(target);
                }
                continue;
            }
            if self.current.kind == Kind::Op && self.current.text.len() > 1 && self.current.text.ends_with('=') {
                let operator = self.bump();
                let more = self.expressions();
                let sum = self.fold(operator.text.trim_end_matches('='), &value, &more);
                self.assign(target, &sum);
                return;
            }
            for target in targets {
                self.assign(target, &value);
            }
            return;
        }
    }

    fn source_between(&self, start: usize, end: usize) -> &'a str {
        self.source.get(start..end).unwrap_or_default().trim()
    }

    fn assign(&mut self, target: &str, value: &Value) {
        if target.len() > TARGET_BYTES_MAX {
            return;
        }
        let names = target.trim_matches(['(', ')', '[', ']']);
        if names.contains(',') {
            for (index, name) in names.split(',').take(TARGETS_MAX).enumerate() {
                let part = value.items().and_then(|items| items.get(index)).cloned();
                self.assign_one(name.trim(), part.unwrap_or_else(|| Value::tainted(value.taint)));
            }
        } else {
            self.assign_one(names, value.clone());
        }
    }

    fn assign_one(&mut self, name: &str, value: Value) {
        if name.contains('.') && !name.contains(['(', '[', ' ']) {
            self.learnt.attributes.insert(name.to_owned(), value);
        } else if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80) {
            self.bind(name, value);
        }
    }

    pub(super) fn bind(&mut self, name: &str, value: Value) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(name.to_owned(), value);
        }
    }

    /// What `name` stands for here.
    pub(super) fn lookup(&self, name: &str) -> Value {
        let innermost = self.scopes.len().saturating_sub(1);
        for (index, scope) in self.scopes.iter().enumerate().rev() {
            // Names of a class body are not seen by its methods.
            if (index == innermost || !matches!(scope.kind, ScopeKind::Class(_)))
                && let Some(value) = scope.names.get(name)
            {
                return value.clone();
            }
        }
        if let Some(value) = self.known.names.get(name) {
            return value.clone();
        }
        if danger::is_builtin(name) {
            return Value::path(format!("builtins.{name}"));
        }
        for module in &self.stars {
            let path = format!("{module}.{name}");
            if danger::classify(&path).is_some() {
                return Value::path(path);
            }
        }
        // Nobody bound it: whoever runs this text did.
        Value::path(name)
    }

    /// An attribute assigned somewhere in the source: `self.run = os.system`.
    pub(super) fn attribute(&self, dotted: &str) -> Option<Value> {
        self.learnt.attributes.get(dotted).or_else(|| self.known.attributes.get(dotted)).cloned()
    }

    /// The method `name` of the class around the current function.
    pub(super) fn own_method(&self, name: &str) -> Option<usize> {
        let class = self.scopes.iter().rev().find_map(|s| match s.kind {
            ScopeKind::Class(class) => Some(class),
            _ => None,
        })?;
        let key = (class, name.to_owned());
        self.learnt.methods.get(&key).or_else(|| self.known.methods.get(&key)).copied()
    }

    /// Where the current statement runs.
    pub(super) fn place(&self) -> Place {
        for scope in self.scopes.iter().rev() {
            if let ScopeKind::Function(def) = scope.kind {
                return Place::Def(def);
            }
        }
        if self.blocks.iter().any(|(_, block)| matches!(block, Block::MainGuard)) {
            Place::MainGuard
        } else {
            Place::Module
        }
    }

    /// Notes that whatever runs here also runs `value`, if it is local.
    pub(super) fn leads_to(&mut self, value: &Value) {
        if let Some(def) = value.local {
            let place = self.place();
            self.noted.edge(place, def);
        }
    }

    fn returned(&mut self, value: Value) {
        let Place::Def(def) = self.place() else { return };
        // The pair that `__reduce__` returns is called by the unpickler.
        if self.noted.is_reduce(def)
            && let Some(callee) = value.items().and_then(<[Value]>::first).cloned()
        {
            let token = self.current;
            self.note_reference(&callee, token);
        }
        let kept = self.learnt.returns.remove(&def).unwrap_or_default();
        self.learnt.returns.insert(def, kept.or(value));
    }

    /// What a call of the local function `def` returns, as far as known.
    pub(super) fn returns_of(&self, def: usize) -> Value {
        self.learnt.returns.get(&def).or_else(|| self.known.returns.get(&def)).cloned().unwrap_or_default()
    }
}
