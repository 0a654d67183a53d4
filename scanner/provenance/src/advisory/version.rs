//! Versions as the makers of inference stacks write them.
//!
//! Three schemes, since text comparison is wrong in each: `b999` is older than
//! `b10000`, `1.0rc1` older than `1.0`, `24.12` older than `25.01`.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Longest version read, bytes.
const VERSION_BYTES_MAX: usize = 128;
/// Most parts of a release (`1.2.3` has three) or of a local label.
const PARTS_MAX: usize = 16;

/// How a program counts its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// PEP 440 and Semantic Versioning, as one.
    Python,
    /// llama.cpp: `bNNNN`.
    LlamaBuild,
    /// NVIDIA containers: `rYY.MM` or `YY.MM`.
    YearMonth,
}

impl Scheme {
    /// The name in advisories and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::LlamaBuild => "llama-build",
            Self::YearMonth => "year-month",
        }
    }

    /// The scheme called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Python, Self::LlamaBuild, Self::YearMonth].into_iter().find(|s| s.name() == name)
    }
}

/// A version of one of the schemes. Versions of different schemes compare by
/// scheme, which says nothing: compare within one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// PEP 440 or Semantic Versioning.
    Python(Python),
    /// A build number.
    Build(u64),
    /// Year, month, patch.
    Month(u64, u64, u64),
}

/// The sort key of PEP 440 ("Summary of permitted suffixes and relative
/// ordering"), into which Semantic Versioning fits. Fields in order of weight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Python {
    epoch: u64,
    /// Without trailing zeros: `1.0` is `1`.
    release: Vec<u64>,
    pre: Pre,
    /// `None` sorts first.
    post: Option<u64>,
    dev: Dev,
    local: Vec<Local>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    /// A development release of the final version.
    Dev,
    /// `a`, `b`, `rc` with a number.
    Phase(u8, u64),
    Final,
}

/// A development release sorts before its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Of(u64),
    No,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Word(String),
    Number(u64),
}

/// Compares two versions; `None` if either cannot be read.
#[must_use]
pub fn compare(scheme: Scheme, a: &str, b: &str) -> Option<Ordering> {
    Some(parse(scheme, a)?.cmp(&parse(scheme, b)?))
}

/// Reads `text` as a version of `scheme`.
#[must_use]
pub fn parse(scheme: Scheme, text: &str) -> Option<Version> {
    let text = text.trim();
    if text.is_empty() || text.len() > VERSION_BYTES_MAX || !text.is_ascii() {
        return None;
    }
    let text = text.to_ascii_lowercase();
    match scheme {
        Scheme::Python => python(&text).map(Version::Python),
        Scheme::LlamaBuild => build(&text).map(Version::Build),
        Scheme::YearMonth => month(&text),
    }
}

impl Version {
    /// Without the label after `+`, which says how it was built
    /// (`2.5.1+cu121`), not what it contains.
    #[must_use]
    pub fn public(mut self) -> Self {
        if let Self::Python(python) = &mut self {
            python.local.clear();
        }
        self
    }

    /// Whether it only stands where a version was not filled in: `0.0.0`, and
    /// what setuptools-scm and git call a tree without tags (`0.1.dev1+g…`).
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        match self {
            Self::Python(p) => p.release.is_empty() || (p.release == [0, 1] && p.dev != Dev::No),
            Self::Build(n) => *n == 0,
            Self::Month(..) => false,
        }
    }
}

/// `b1234`, `1234`, `b1234-0a1b2c3`.
fn build(text: &str) -> Option<u64> {
    let text = text.strip_prefix('b').unwrap_or(text);
    let (number, commit) = text.split_once('-').unwrap_or((text, "0"));
    (!commit.is_empty() && commit.bytes().all(|b| b.is_ascii_hexdigit())).then(|| integer(number))?
}

/// `r25.07`, `25.07`, `25.07-py3`, `24.07.1`.
fn month(text: &str) -> Option<Version> {
    let text = text.strip_prefix('r').unwrap_or(text);
    let text = text.split_once('-').map_or(text, |(version, _flavour)| version);
    let mut parts = text.split('.').map(|p| (p.len() <= 2).then(|| integer(p)).flatten());
    let (year, month) = (parts.next()??, parts.next()??);
    let patch = parts.next().map_or(Some(0), |p| p)?;
    // NVIDIA's first containers are of 2016.
    ((16..=99).contains(&year) && (1..=12).contains(&month) && parts.next().is_none())
        .then_some(Version::Month(year, month, patch))
}

/// Digits only: no sign, no blank, no overflow.
fn integer(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn python(text: &str) -> Option<Python> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (public, label) = text.split_once('+').map_or((text, None), |(p, l)| (p, Some(l)));
    let (epoch, rest) = match public.split_once('!') {
        Some((epoch, rest)) => (integer(epoch)?, rest),
        None => (0, public),
    };
    let mut rest = Rest(rest);
    let release = release(&mut rest)?;
    let (mut pre, mut post, mut dev, mut describe) = (None, None, None, None::<()>);
    while !rest.0.is_empty() {
        let separated = rest.separator();
        if let Some(number) = rest.digits() {
            // `1.0-1`: a post release (PEP 440 "Implicit post releases"), or
            // commits since a tag (`git describe`), which come after it too.
            (separated && post.is_none() && dev.is_none()).then_some(())?;
            post = Some(number?);
            continue;
        }
        let word = rest.letters()?;
        if word.starts_with('g') && post.is_some() && describe.is_none() && is_commit(word, rest.0) {
            rest.take(|c| c.is_ascii_alphanumeric());
            describe = Some(());
            continue;
        }
        rest.separator();
        let number = rest.digits().unwrap_or(Some(0))?;
        let slot = match word {
            "a" | "alpha" => phase(&mut pre, post.is_some() || dev.is_some(), 0),
            "b" | "beta" => phase(&mut pre, post.is_some() || dev.is_some(), 1),
            "c" | "rc" | "pre" | "preview" => phase(&mut pre, post.is_some() || dev.is_some(), 2),
            "post" | "rev" | "r" => (post.is_none() && dev.is_none()).then(|| post.insert(0)),
            "dev" | "nightly" | "snapshot" => dev.is_none().then(|| dev.insert(0)),
            // A tree with uncommitted changes.
            "dirty" => continue,
            _ => None,
        };
        *slot? = number;
    }
    let local = label.map_or(Some(Vec::new()), local)?;
    let pre = match pre {
        Some((phase, number)) => Pre::Phase(phase, number),
        None if post.is_none() && dev.is_some() => Pre::Dev,
        None => Pre::Final,
    };
    Some(Python { epoch, release, pre, post, dev: dev.map_or(Dev::No, Dev::Of), local })
}

/// Takes the first pre-release phase; none may follow another suffix.
fn phase(pre: &mut Option<(u8, u64)>, late: bool, phase: u8) -> Option<&mut u64> {
    (pre.is_none() && !late).then(|| &mut pre.insert((phase, 0)).1)
}

/// `1.2.3`, trailing zeros dropped.
fn release(rest: &mut Rest<'_>) -> Option<Vec<u64>> {
    let mut parts = vec![rest.digits()??];
    while let Some(after) = rest.0.strip_prefix('.').filter(|a| a.starts_with(|c: char| c.is_ascii_digit())) {
        rest.0 = after;
        parts.push(rest.digits()??);
        (parts.len() <= PARTS_MAX).then_some(())?;
    }
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

fn local(label: &str) -> Option<Vec<Local>> {
    let parts: Vec<&str> = label.split(['.', '-', '_']).collect();
    let valid = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric());
    (parts.len() <= PARTS_MAX && parts.iter().all(valid))
        .then(|| parts.iter().map(|p| integer(p).map_or_else(|| Local::Word((*p).to_owned()), Local::Number)).collect())
}

/// `g` and an abbreviated commit, as `git describe` adds.
fn is_commit(word: &str, after: &str) -> bool {
    let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
    let digits: Vec<u8> = word.bytes().skip(1).chain(after.bytes().take(end)).collect();
    digits.len() >= 4 && digits.iter().all(u8::is_ascii_hexdigit)
}

/// What is left to read of a version.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c: char| !wanted(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    /// A number if digits follow; inside, `None` if it is too large.
    fn digits(&mut self) -> Option<Option<u64>> {
        let digits = self.take(|c| c.is_ascii_digit());
        (!digits.is_empty()).then(|| integer(digits))
    }

    fn letters(&mut self) -> Option<&'a str> {
        let letters = self.take(|c| c.is_ascii_alphabetic());
        (!letters.is_empty()).then_some(letters)
    }

    /// Skips one of `.`, `-`, `_`.
    fn separator(&mut self) -> bool {
        let rest = self.0.strip_prefix(['.', '-', '_']);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each line in ascending order.
    const ASCENDING: &[(Scheme, &[&str])] = &[
        (
            Scheme::Python,
            &[
                "0",
                "0.1.29",
                "0.9",
                "0.10.0",
                "1.0.dev1",
                "1.0a1.dev1",
                "1.0a1",
                "1.0-alpha.2",
                "1.0b1",
                "1.0rc1",
                "1.0-rc.2",
                "1.0",
                "1.0+cu121",
                "1.0+cu121.1",
                "1.0+5",
                "1.0.post1.dev2",
                "1.0.post1",
                "1.0-2",
                "1.0-3-gabcdef1-dirty",
                "1.0.1",
                "1.10",
                "2",
                "2025.1",
                "1!0.1",
            ],
        ),
        (Scheme::Python, &["5.0.0.dev0", "5.0.0rc1", "5.0.0rc3", "5.0.0", "v5.3.0"]),
        (Scheme::Python, &["v0.5.13-nightly", "v0.5.13-rc1", "0.5.13"]),
        (Scheme::LlamaBuild, &["0", "b999", "1000", "b9999-0a1b2c3", "b10000"]),
        (Scheme::YearMonth, &["19.01", "24.12-py3", "r25.01", "25.07", "25.07.1", "26.03"]),
    ];

    #[test]
    fn known_versions_are_in_order() {
        for (scheme, versions) in ASCENDING {
            for pair in versions.windows(2) {
                assert_eq!(compare(*scheme, pair[0], pair[1]), Some(Ordering::Less), "{pair:?}");
            }
        }
    }

    #[test]
    fn different_spellings_are_equal() {
        for (a, b) in [
            ("1", "v1.0.0"),
            ("1.0-1", "1.0.post1"),
            ("1.0RC1", "1.0-rc.1"),
            ("1.0.alpha", "1.0a0"),
            (" 2.5.1 ", "2.5.1"),
            ("1.0.r4", "1.0.post4"),
            ("1.0_dev", "1.0.dev0"),
            ("1.0+ubuntu-1", "1.0+ubuntu.1"),
        ] {
            assert_eq!(compare(Scheme::Python, a, b), Some(Ordering::Equal), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_version_is_not_compared() {
        for (scheme, text) in [
            (Scheme::Python, ""),
            (Scheme::Python, "main"),
            (Scheme::Python, "1..0"),
            (Scheme::Python, "1.0-"),
            (Scheme::Python, "1.0a1b2"),
            (Scheme::Python, "99999999999999999999"),
            (Scheme::Python, "1.0+"),
            (Scheme::Python, "1.0.post1.post2"),
            (Scheme::Python, "1.0 beta"),
            (Scheme::Python, "(devel)"),
            (Scheme::Python, "1.0.\u{661}"),
            (Scheme::LlamaBuild, "unknown"),
            (Scheme::LlamaBuild, "b-5"),
            (Scheme::LlamaBuild, "b1.2"),
            (Scheme::YearMonth, "2.59.0"),
            (Scheme::YearMonth, "25.13"),
            (Scheme::YearMonth, "r25"),
            (Scheme::YearMonth, "25.07.1.2"),
        ] {
            assert_eq!(parse(scheme, text), None, "{text}");
        }
        assert_eq!(parse(Scheme::Python, &"1.".repeat(200)), None);
    }

    #[test]
    fn versions_that_were_not_filled_in_are_known_as_such() {
        for text in ["0.0.0", "0", "0.1.dev1+gabc1234", "0.0.0-1-gabcdef0"] {
            assert!(parse(Scheme::Python, text).unwrap().is_placeholder(), "{text}");
        }
        for text in ["0.0.1", "0.1.0", "0.1.29"] {
            assert!(!parse(Scheme::Python, text).unwrap().is_placeholder(), "{text}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,2}(\\.[0-9]{1,2}){0,3}((a|b|rc)[0-9])?(\\.post[0-9])?(\\.dev[0-9])?(\\+[a-z0-9]{1,3})?",
            "v?[0-9.a-z+!_-]{0,12}",
            "b[0-9]{1,6}",
            "r?[0-9]{2}\\.[01][0-9]",
        ]
    }

    proptest! {
        #[test]
        fn order_is_total(a in text(), b in text(), c in text()) {
            for scheme in [Scheme::Python, Scheme::LlamaBuild, Scheme::YearMonth] {
                let (Some(a), Some(b), Some(c)) = (parse(scheme, &a), parse(scheme, &b), parse(scheme, &c)) else { continue };
                prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
                prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
                if a <= b && b <= c {
                    prop_assert!(a <= c);
                }
            }
        }

        #[test]
        fn builds_compare_as_numbers(a in 0u64..1_000_000, b in 0u64..1_000_000) {
            prop_assert_eq!(compare(Scheme::LlamaBuild, &format!("b{a}"), &format!("b{b}")), Some(a.cmp(&b)));
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            for scheme in [Scheme::Python, Scheme::LlamaBuild, Scheme::YearMonth] {
                let _ = parse(scheme, &text);
            }
        }
    }
}
