use std::rc::Rc;

use super::calls::{self, Danger};

/// Longest text kept of one value.
pub const TEXT_BYTES_MAX: usize = 200;
/// Arguments written out of one call.
const ARGUMENTS_MAX: usize = 8;

/// As much of a value as evidence needs.
#[derive(Debug, Clone)]
pub enum Value {
    /// `NULL`.
    Null,
    /// What stands for a value that was never computed.
    Unbound,
    /// A name.
    Symbol(Rc<str>),
    /// The first element of a character vector.
    Text(Rc<str>),
    /// A call.
    Call(Rc<Call>),
    /// A list with names: as attributes have.
    List(Rc<[(Option<Rc<str>>, Value)]>),
    /// Anything else, by its kind.
    Other(&'static str),
}

/// A call, written out.
#[derive(Debug)]
pub struct Call {
    /// Function: `system`, `base::system`.
    pub name: String,
    /// As R would print it, cut.
    pub shown: String,
    /// The worst in it.
    pub danger: Option<Danger>,
}

impl Value {
    /// The name this value has as a function.
    fn function(&self) -> String {
        match self {
            Self::Symbol(name) | Self::Text(name) => name.to_string(),
            Self::Call(call) => call.shown.clone(),
            _ => "(function)".to_owned(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Unbound => String::new(),
            Self::Symbol(name) => name.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Call(call) => call.shown.clone(),
            Self::List(_) => "list".to_owned(),
            Self::Other(kind) => (*kind).to_owned(),
        }
    }

    /// The worst call in it.
    pub fn danger(&self) -> Option<Danger> {
        match self {
            Self::Call(call) => call.danger,
            Self::List(items) => items.iter().filter_map(|(_, v)| v.danger()).max(),
            _ => None,
        }
    }

    /// What a promise shows of its expression.
    pub fn evidence(&self) -> String {
        self.shown()
    }
}

/// Writes out the call of `items`: the function, then its arguments.
pub fn call(items: &[(Option<Rc<str>>, Value)]) -> Call {
    let name = items.first().map_or_else(|| "(function)".to_owned(), |(_, f)| f.function());
    let arguments = items.get(1..).unwrap_or_default();
    let text = |v: Option<&(Option<Rc<str>>, Value)>| v.map(|(_, v)| v.function()).unwrap_or_default();
    let shown = if name == "::" || name == ":::" {
        format!("{}{name}{}", text(arguments.first()), text(arguments.get(1)))
    } else {
        let written = arguments.iter().take(ARGUMENTS_MAX).map(|(tag, value)| match tag {
            Some(tag) => format!("{tag} = {}", value.shown()),
            None => value.shown(),
        });
        format!("{name}({})", written.collect::<Vec<_>>().join(", "))
    };
    let inner = arguments.iter().filter_map(|(_, v)| v.danger()).max();
    let first = items.first().and_then(|(_, f)| f.danger());
    let evaluates_text = calls::evaluates(&name)
        && arguments.iter().any(|(_, v)| matches!(v, Value::Call(inner) if calls::parses(&inner.name)));
    let named = arguments.iter().find_map(|(_, v)| match v {
        // `do.call("system", …)`, `get("system")`, `lapply(x, system)`.
        Value::Text(text) | Value::Symbol(text) if calls::takes_function(&name) => calls::danger(text),
        _ => None,
    });
    let own = if evaluates_text { Some(Danger::Strong) } else { calls::danger(&name) };
    Call { danger: own.max(inner).max(first).max(named), name, shown: cut(&shown) }
}

/// The first [`TEXT_BYTES_MAX`] bytes or so.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
