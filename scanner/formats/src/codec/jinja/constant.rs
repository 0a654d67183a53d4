//! Values known without rendering: what string tricks add up to.

/// Longest text that is followed, characters. Names and phrases are shorter.
const TEXT_MAX: usize = 2048;
/// Longest list that is followed.
const LIST_MAX: usize = 64;

/// A value known without rendering.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A list or tuple, or the keys of a dictionary: of texts and integers
    /// only, since lists of lists grow beyond any bound.
    List(Vec<Constant>),
    /// One of these: what a loop over a list yields.
    OneOf(Vec<Constant>),
}

impl Constant {
    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// Every string it can be or holds.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::Integer(_) => Vec::new(),
            Self::List(items) | Self::OneOf(items) => items.iter().filter_map(Self::text).collect(),
        }
    }

    /// A list, if it is short and flat enough to follow.
    pub fn list(items: Vec<Self>) -> Option<Self> {
        let texts: Option<usize> = items
            .iter()
            .map(|item| match item {
                Self::Text(text) => Some(text.len()),
                Self::Integer(_) => Some(0),
                Self::List(_) | Self::OneOf(_) => None,
            })
            .sum();
        (items.len() <= LIST_MAX && texts? <= TEXT_MAX).then_some(Self::List(items))
    }

    /// As Jinja puts it out.
    fn shown(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(n) => Some(n.to_string()),
            Self::List(_) | Self::OneOf(_) => None,
        }
    }

    /// `self ~ other`
    pub fn concatenated(self, other: &Self) -> Option<Self> {
        let mut left = match self {
            Self::Text(text) => text,
            other => other.shown()?,
        };
        left.push_str(&other.shown()?);
        bounded(left)
    }

    /// `self + other`
    pub fn plus(self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(Self::Integer(a.saturating_add(*b))),
            (Self::Text(mut a), Self::Text(b)) => {
                a.push_str(b);
                bounded(a)
            }
            (Self::List(mut a), Self::List(b)) => {
                a.extend(b.iter().cloned());
                Self::list(a)
            }
            _ => None,
        }
    }

    /// `self * other`
    pub fn times(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(Self::Integer(a.saturating_mul(*b))),
            (Self::Text(text), Self::Integer(n)) | (Self::Integer(n), Self::Text(text)) => {
                let n = usize::try_from((*n).max(0)).ok()?;
                (text.len().checked_mul(n)? <= TEXT_MAX).then(|| Self::Text(text.repeat(n)))
            }
            _ => None,
        }
    }

    /// `self ** other`
    pub fn power(&self, other: &Self) -> Option<Self> {
        let exponent = u32::try_from(other.integer()?).unwrap_or(u32::MAX);
        Some(Self::Integer(self.integer()?.saturating_pow(exponent)))
    }

    /// `self % arguments` and `self | format(arguments)`: `%s`, `%c`, `%d`.
    pub fn percent(&self, arguments: &[Self]) -> Option<Self> {
        let mut out = String::new();
        let mut arguments = arguments.iter();
        let mut chars = self.text()?.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next()? {
                '%' => out.push('%'),
                'c' => match arguments.next()? {
                    Self::Integer(n) => out.push(char::from_u32(u32::try_from(*n).ok()?)?),
                    other => out.push_str(other.text()?),
                },
                's' | 'd' | 'r' => out.push_str(&arguments.next()?.shown()?),
                _ => return None,
            }
        }
        bounded(out)
    }

    /// `self.format(arguments)`: `{}` and `{0}`.
    fn braces(&self, arguments: &[Self]) -> Option<Self> {
        let mut out = String::new();
        let mut rest = self.text()?;
        let mut next = 0;
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after.split_once('}')?;
            let index = if field.is_empty() { next } else { field.parse().ok()? };
            next += 1;
            out.push_str(before);
            out.push_str(&arguments.get(index)?.shown()?);
            rest = after;
        }
        out.push_str(rest);
        bounded(out)
    }

    /// `self[index]`
    pub fn item(&self, index: &Self) -> Option<Self> {
        let n = index.integer()?;
        match self {
            Self::Text(text) => {
                let chars: Vec<char> = text.chars().collect();
                Some(Self::Text(chars.get(position(n, chars.len())?)?.to_string()))
            }
            Self::List(items) => items.get(position(n, items.len())?).cloned(),
            _ => None,
        }
    }

    /// `self[start:stop:step]`
    pub fn slice(&self, start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Option<Self> {
        match self {
            Self::Text(text) => {
                let chars: Vec<char> = text.chars().collect();
                Some(Self::Text(sliced(&chars, start, stop, step)?.into_iter().collect()))
            }
            Self::List(items) => Some(Self::List(sliced(items, start, stop, step)?)),
            _ => None,
        }
    }

    /// `self | name(arguments)`, where the filter only moves text around.
    pub fn filtered(&self, name: &str, arguments: &[Self]) -> Option<Self> {
        let argument = |n: usize| arguments.get(n).and_then(Self::text);
        match (name, self) {
            ("format", Self::Text(_)) => self.percent(arguments),
            ("join", Self::List(items)) => {
                let parts: Option<Vec<_>> = items.iter().map(Self::shown).collect();
                bounded(parts?.join(argument(0).unwrap_or_default()))
            }
            ("join", Self::Text(text)) => {
                let parts: Vec<String> = text.chars().map(String::from).collect();
                bounded(parts.join(argument(0).unwrap_or_default()))
            }
            ("reverse", _) => self.slice(None, None, Some(-1)),
            ("list", Self::Text(text)) if text.len() <= LIST_MAX => {
                Some(Self::List(text.chars().map(|c| Self::Text(c.into())).collect()))
            }
            ("first", _) => self.item(&Self::Integer(0)),
            ("last", _) => self.item(&Self::Integer(-1)),
            ("string" | "safe" | "escape" | "e" | "forceescape" | "list" | "default" | "d", _) => Some(self.clone()),
            ("upper" | "lower" | "trim" | "replace" | "capitalize", Self::Text(_)) => self.method(name, arguments),
            _ => None,
        }
    }

    /// `self.name(arguments)` of Python's strings.
    pub fn method(&self, name: &str, arguments: &[Self]) -> Option<Self> {
        let argument = |n: usize| arguments.get(n).and_then(Self::text);
        let text = self.text()?;
        let set: Vec<char> = argument(0).unwrap_or(" \t\r\n").chars().collect();
        match name {
            "upper" => bounded(text.to_uppercase()),
            "lower" | "casefold" => bounded(text.to_lowercase()),
            "capitalize" => {
                let mut chars = text.chars();
                bounded(
                    chars.next().map_or_else(String::new, |c| {
                        c.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect()
                    }),
                )
            }
            "strip" | "trim" => bounded(text.trim_matches(set.as_slice()).to_owned()),
            "lstrip" => bounded(text.trim_start_matches(set.as_slice()).to_owned()),
            "rstrip" => bounded(text.trim_end_matches(set.as_slice()).to_owned()),
            "replace" => {
                let (from, to) = (argument(0)?, argument(1)?);
                // The result is at most as often `to` as there are characters.
                if from.is_empty() || to.len().saturating_mul(text.len()) > TEXT_MAX * LIST_MAX {
                    return None;
                }
                bounded(text.replace(from, to))
            }
            "join" => arguments.first()?.filtered("join", std::slice::from_ref(self)),
            "format" => self.braces(arguments),
            "split" => {
                let parts: Vec<Self> = match argument(0) {
                    Some("") => return None,
                    Some(separator) => text.split(separator).take(LIST_MAX + 1).map(|p| Self::Text(p.into())).collect(),
                    None => text.split_whitespace().take(LIST_MAX + 1).map(|p| Self::Text(p.into())).collect(),
                };
                Self::list(parts)
            }
            "removeprefix" => bounded(text.strip_prefix(argument(0)?).unwrap_or(text).to_owned()),
            "removesuffix" => bounded(text.strip_suffix(argument(0)?).unwrap_or(text).to_owned()),
            _ => None,
        }
    }
}

fn bounded(text: String) -> Option<Constant> {
    (text.len() <= TEXT_MAX).then_some(Constant::Text(text))
}

/// Index `n` of a sequence of `len`, where negative counts from the end.
fn position(n: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if n < 0 { n.checked_add(len)? } else { n }).ok()
}

/// Python's slice of `items`.
fn sliced<T: Clone>(items: &[T], start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Option<Vec<T>> {
    let step = step.unwrap_or(1);
    let len = i64::try_from(items.len()).ok()?;
    let clamp = |n: i64, low: i64, high: i64| if n < 0 { n.saturating_add(len).max(low) } else { n.min(high) };
    let (mut at, end) = match step {
        0 => return None,
        1.. => (start.map_or(0, |n| clamp(n, 0, len)), stop.map_or(len, |n| clamp(n, 0, len))),
        _ => (start.map_or(len - 1, |n| clamp(n, -1, len - 1)), stop.map_or(-1, |n| clamp(n, -1, len - 1))),
    };
    let mut out = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        out.push(items.get(usize::try_from(at).ok()?)?.clone());
        at = at.saturating_add(step);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Constant {
        Constant::Text(s.to_owned())
    }

    #[test]
    fn slices_are_those_of_python() {
        assert_eq!(text("__ssalc__").slice(None, None, Some(-1)), Some(text("__class__")));
        assert_eq!(text("abcdef").slice(Some(1), Some(-1), None), Some(text("bcde")));
        assert_eq!(text("abcdef").slice(None, None, Some(2)), Some(text("ace")));
        assert_eq!(text("abc").slice(Some(-100), Some(100), None), Some(text("abc")));
        assert_eq!(text("abc").slice(None, None, Some(0)), None);
    }

    #[test]
    fn formats_fill_in_their_arguments() {
        assert_eq!(text("%s%s").percent(&[text("a"), text("b")]), Some(text("ab")));
        assert_eq!(text("%c%c").percent(&[Constant::Integer(95), Constant::Integer(95)]), Some(text("__")));
        assert_eq!(text("{}{0}").method("format", &[text("a")]), Some(text("aa")));
        assert_eq!(text("%s").percent(&[]), None);
    }

    #[test]
    fn nothing_grows_without_bound() {
        let list = Constant::list(vec![text("a"); LIST_MAX]).unwrap();
        assert_eq!(list.clone().plus(&list), None);
        assert_eq!(Constant::list(vec![list.clone(), list]), None);
        assert_eq!(Constant::list(vec![text(&"a".repeat(TEXT_MAX)); 2]), None);
        assert_eq!(text("x").times(&Constant::Integer(i64::MAX)), None);
        assert_eq!(text(&"a".repeat(TEXT_MAX)).concatenated(&text("a")), None);
        assert_eq!(Constant::Integer(10).power(&Constant::Integer(i64::MAX)), Some(Constant::Integer(i64::MAX)));
    }
}
