//! Judgements on what an expression reaches, builds, repeats and compares.

use crate::codec::jinja::access::Arguments;
use crate::codec::jinja::constant::Constant;
use crate::codec::jinja::expression::{Expression, is_content_name};
use crate::codec::jinja::names::{self, Reach};
use crate::codec::jinja::prose;
use crate::codec::jinja::rules;
use crate::codec::jinja::scope::{Trigger, Value};

/// Numbers from here on only serve to exhaust time or memory.
const BOMB_NUMBER: i64 = 10_000_000;

/// Repetitions of a text from here on.
const BOMB_REPEATS: i64 = 100_000;

/// Methods and filters after which content is still content.
pub(super) const KEEPS_CONTENT: &str = "lower upper strip lstrip rstrip trim replace split casefold title capitalize string join first last list \
    safe escape e default d reverse truncate splitlines removeprefix removesuffix indent tojson striptags";

/// Methods and filters that compare content with their argument.
pub(super) const COMPARES: &str = "startswith endswith find rfind index rindex count contains search match regex regex_search regex_match \
    regex_findall split rsplit partition rpartition select reject selectattr rejectattr equalto eq in \
    containing matching __contains__";

impl Expression<'_, '_, '_> {
    /// An attribute reached by name.
    pub(super) fn reached(&mut self, value: &Value, name: &str, how: &str) {
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
    pub(super) fn reached_by_text(&mut self, value: &Value, name: &str, how: &str) {
        if name.starts_with('_') && names::attribute(name) == Reach::Out {
            self.notes.hit(&rules::SANDBOX_ESCAPE, format!("{how} `{name}`"));
        }
        if value.object && value.path.as_deref().is_some_and(|p| !p.contains('.')) {
            let root = value.path.as_deref().unwrap_or_default();
            self.notes.hit(&rules::REACHES_OBJECT, format!("{how} `{name}` of `{root}`"));
        }
    }

    /// Filters that take attribute names: `attr`, `map(attribute=…)`, ….
    pub(super) fn attributes_named(&mut self, filter: &str, value: &Value, arguments: &Arguments) {
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
    pub(super) fn built(&mut self, value: &Value) {
        if let Some(text) = value.constant.as_ref().and_then(Constant::text) {
            self.notes.check_built(text);
        }
    }

    pub(super) fn repeated(&mut self, left: &Value, right: &Value) {
        let count = [left, right].iter().find_map(|v| v.constant.as_ref().and_then(Constant::integer));
        let both = left.constant.as_ref().and_then(Constant::integer).is_some()
            && right.constant.as_ref().and_then(Constant::integer).is_some();
        if !both && count.is_some_and(|n| n >= BOMB_REPEATS) {
            self.notes.hit(&rules::RESOURCE_BOMB, format!("repeats something {} times", count.unwrap_or(0)));
        }
    }

    /// Huge numbers as arguments: `range`, `center`, `indent`, ….
    pub(super) fn numbers(&mut self, name: &str, arguments: &Arguments) {
        let huge = arguments.all().filter_map(|v| v.constant.as_ref()?.integer()).find(|n| *n >= BOMB_NUMBER);
        if let Some(n) = huge {
            self.notes.hit(&rules::RESOURCE_BOMB, format!("`{name}` of {n}"));
        }
    }

    /// A comparison by method, filter or test.
    pub(super) fn tested(&mut self, value: &Value, name: &str, arguments: &Arguments) -> Option<Trigger> {
        if !names::is_in(COMPARES, name) {
            return value.trigger.clone().filter(|_| names::is_in(KEEPS_CONTENT, name));
        }
        let by_attribute = arguments.texts().any(is_content_name) && matches!(name, "selectattr" | "rejectattr");
        if !value.content && !by_attribute {
            return None;
        }
        let phrase = arguments.texts().find(|t| prose::is_trigger(t) && !names::is_in(COMPARES, t))?;
        Some(Trigger::Content(phrase.to_owned()))
    }

    /// `content.replace('words', 'other words')`
    pub(super) fn rewritten(&mut self, value: &Value, arguments: &Arguments) {
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

/// What a comparison of two values asks for.
pub(super) fn compared(left: &Value, right: &Value, operator: &str) -> Option<Trigger> {
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
