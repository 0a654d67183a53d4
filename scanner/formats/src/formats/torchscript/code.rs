//! TorchScript sources: Python's grammar, but compiled by PyTorch and run by
//! its own interpreter, so only operators matter.

use std::collections::BTreeMap;

use super::{operators, rules};
use crate::codec::python::{self, Analysis, Trust};
use crate::codec::zip::{Listing, Member};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::python as python_source;

/// Most findings of one rule in one source.
const FINDINGS_MAX: usize = 4;

/// A source below `code/`.
pub(super) fn is_source(member: &Member) -> bool {
    member.name.ends_with(".py") && (member.name.starts_with("code/") || member.name.contains("/code/"))
}

pub(super) fn inspect(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
) -> Result<(), FormatError> {
    python_source::read_member(ctx, input, listing, member, inspect_source)
}

fn inspect_source(ctx: &mut Inspection<'_>, source: &str) {
    let analysis = python::analyse(source);
    for class in operators::custom_classes(source.as_bytes()) {
        operators::report_class(ctx, &class);
    }
    let mut reported: BTreeMap<String, usize> = BTreeMap::new();
    for call in &analysis.calls {
        let Some(operator) = operators::of_call(&call.name) else { continue };
        let Some(rule) = operators::judged(&operator) else { continue };
        let detail = format!("`{}` ({operator}) in line {}", call.name, call.line);
        let count = reported.entry(operator).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX {
            ctx.find(rule, call.offset, detail);
        }
    }
    inspect_as_python(ctx, &analysis);
}

/// Ordinary Python does not compile as TorchScript: it was put there for
/// somebody who runs it.
fn inspect_as_python(ctx: &mut Inspection<'_>, analysis: &Analysis) {
    let foreign = analysis.imports.iter().find(|i| {
        let top = i.module.split('.').next().unwrap_or_default();
        !matches!(top, "__torch__" | "torch" | "typing" | "")
    });
    if let Some(import) = foreign {
        let detail = format!("line {} imports `{}`", import.line, import.module);
        ctx.find(&rules::FOREIGN_PYTHON, None, detail);
        python::report(ctx, analysis, "", Trust::Beside);
    }
}
