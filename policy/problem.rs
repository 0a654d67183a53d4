//! What is wrong with a policy repository, by file and place.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It can be used; an author should look.
    Warning,
    /// It cannot be used.
    Error,
}

/// A file of the repository: its name in it, and what it holds.
pub(crate) type Source = Arc<NamedSource<Arc<str>>>;

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    /// How bad.
    pub level: Level,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// File, relative to the repository; empty for the whole of it.
    pub file: String,
    source: Option<Source>,
    spans: Vec<LabeledSpan>,
}

/// Things that are wrong, in the order they were met.
pub type Problems = Vec<Problem>;

impl Problem {
    /// That `message` holds for `file` as a whole.
    pub(crate) fn of_file(level: Level, file: &str, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), help: None, file: file.to_owned(), source: None, spans: Vec::new() }
    }

    /// That `message` holds at `span` of `source`.
    pub(crate) fn at(level: Level, source: &Source, span: Option<SourceSpan>, message: impl Into<String>) -> Self {
        let within =
            |span: &SourceSpan| span.offset().checked_add(span.len()).is_some_and(|end| end <= source.inner().len());
        Self {
            source: Some(Arc::clone(source)),
            spans: span.filter(within).map(|s| LabeledSpan::new_with_span(None, s)).into_iter().collect(),
            ..Self::of_file(level, source.name(), message)
        }
    }

    /// What Cedar says of `source`.
    pub(crate) fn of_cedar(level: Level, source: &Source, said: &dyn Diagnostic) -> Self {
        let length = source.inner().len();
        let labels = said.labels().into_iter().flatten();
        let spans = labels.filter(|l| l.offset().checked_add(l.len()).is_some_and(|end| end <= length)).collect();
        Self {
            help: said.help().map(|h| h.to_string()),
            source: Some(Arc::clone(source)),
            spans,
            ..Self::of_file(level, source.name(), said.to_string())
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Line of the first place, from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let (source, span) = (self.source.as_ref()?, self.spans.first()?);
        Some(1 + source.inner().get(..span.offset())?.bytes().filter(|b| *b == b'\n').count())
    }
}

/// Whether any of `problems` keeps the repository from being used.
pub(crate) fn fatal(problems: &[Problem]) -> bool {
    problems.iter().any(|p| p.level == Level::Error)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.is_none() && !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.level {
            Level::Warning => miette::Severity::Warning,
            Level::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.spans.is_empty()).then(|| Box::new(self.spans.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outside_a_file_are_dropped() {
        let source: Source = Arc::new(NamedSource::new("a.yaml", Arc::from("one\ntwo\n")));
        let problem = |at: usize, len: usize| Problem::at(Level::Error, &source, Some((at, len).into()), "x");
        assert_eq!(problem(4, 3).line(), Some(2));
        assert_eq!(problem(4, 30).line(), None);
        assert_eq!(problem(usize::MAX, 2).line(), None);
    }
}
