use crate::codec;
use crate::core::{FormatSpec, Input, NoContent, Options, Outcome, engine};
use crate::formats;

/// One parser by name, run on content whatever that looks like: for fuzzing
/// and for tests of single parsers.
#[derive(Clone, Copy)]
pub enum Parser {
    /// A format of the registry.
    Format(&'static FormatSpec),
    /// Chat templates.
    Jinja,
    /// CPython code objects.
    Marshal,
}

impl Parser {
    /// The format of this id, or the codec of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "jinja" => Some(Self::Jinja),
            "marshal" => Some(Self::Marshal),
            _ => formats::by_id(name).map(Self::Format),
        }
    }

    /// Runs it over `input`.
    #[must_use]
    pub fn run(&self, input: &Input, options: &Options) -> Outcome {
        engine::inspect_with("fuzz", options, &NoContent, |ctx| {
            match self {
                Self::Format(spec) => {
                    if let Err(error) = (spec.inspect)(ctx, input) {
                        ctx.stopped(&error);
                    }
                }
                Self::Jinja => {
                    let text = input.head(1 << 20).unwrap_or_default();
                    codec::jinja::inspect(ctx, &String::from_utf8_lossy(&text), "template");
                }
                Self::Marshal => {
                    codec::marshal::inspect(ctx, &input.head(1 << 20).unwrap_or_default(), "code");
                }
            }
            engine::nothing()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fuzz_target_names_a_parser() {
        let targets = include_str!("../../../../fuzz/targets.txt");
        for target in targets.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            assert!(Parser::named(target).is_some(), "{target}");
        }
    }
}
