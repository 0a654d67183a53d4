use std::cmp::Ordering;
use std::io::{self, Write};

use weighbridge_provenance::advisory::version::compare;
use weighbridge_provenance::inventory::{Inventory, Stack};
use weighbridge_types::{Severity, Shown};

use super::text::{bold, dim, severity_style, wrapped};

/// For people: what is installed, what is known against it, what to do.
pub fn inventory(out: &mut impl Write, inventory: &Inventory) -> io::Result<()> {
    for stack in inventory.stacks.iter().filter(|s| !s.advisories.is_empty()) {
        affected(out, stack)?;
    }
    overview(out, &inventory.stacks)?;
    for error in &inventory.errors {
        writeln!(out, "{}: {}", Shown(&error.path), Shown(&error.message))?;
    }
    if inventory.folders_skipped > 0 {
        writeln!(out, "{} folders lie too deep to be looked at; name them to do so.", inventory.folders_skipped)?;
    }
    summary(out, inventory)
}

fn affected(out: &mut impl Write, stack: &Stack) -> io::Result<()> {
    let (bold, dim) = (bold(), dim());
    let (name, path) = (Shown(&stack.name), Shown(&stack.path));
    writeln!(out, "{bold}{name} {}{bold:#}  {dim}{path}{dim:#}", version(stack))?;
    for advisory in &stack.advisories {
        let style = severity_style(advisory.severity);
        let fixed = match &advisory.fixed {
            Some(fixed) => format!("fixed in {}", Shown(fixed)),
            None => "no fixed version known".to_owned(),
        };
        writeln!(out, "  {style}{:8}{style:#} {}  {fixed}", advisory.severity, Shown(&advisory.id))?;
        writeln!(out, "{}", wrapped(&Shown(&advisory.summary).to_string(), "           "))?;
    }
    if let Some(best) = upgrade(stack) {
        writeln!(out, "  → upgrade to {} or later", Shown(best))?;
    }
    writeln!(out)
}

/// The first version without any of the problems that have been fixed.
fn upgrade(stack: &Stack) -> Option<&str> {
    let fixed = stack.advisories.iter().filter_map(|a| a.fixed.as_deref());
    fixed.reduce(|a, b| if compare(stack.scheme, a, b) == Some(Ordering::Less) { b } else { a })
}

fn version(stack: &Stack) -> String {
    stack.version.as_deref().map_or_else(|| "(version unknown)".to_owned(), |v| Shown(v).to_string())
}

fn overview(out: &mut impl Write, stacks: &[Stack]) -> io::Result<()> {
    if stacks.is_empty() {
        return Ok(());
    }
    let rows: Vec<[String; 4]> =
        stacks.iter().map(|s| [Shown(&s.name).to_string(), version(s), known(s), Shown(&s.path).to_string()]).collect();
    let header = ["stack", "version", "advisories", "where"].map(str::to_owned);
    let mut widths = [0; 3];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(textwrap::core::display_width(cell));
        }
    }
    let bold = bold();
    write!(out, "{bold}")?;
    cells(out, &header, &widths)?;
    writeln!(out, "{bold:#}")?;
    for (row, stack) in rows.iter().zip(stacks) {
        let worst = stack.advisories.iter().map(|a| a.severity).max().unwrap_or(Severity::Info);
        let style = if stack.advisories.is_empty() { anstyle::Style::new() } else { severity_style(worst) };
        write!(out, "{style}")?;
        cells(out, row, &widths)?;
        writeln!(out, "{style:#}")?;
    }
    writeln!(out)
}

/// `3, 2 undecided`
fn known(stack: &Stack) -> String {
    match (stack.advisories.len(), stack.undecided.len()) {
        (0, 0) => "none".to_owned(),
        (n, 0) => n.to_string(),
        (0, u) => format!("{u} undecided"),
        (n, u) => format!("{n}, {u} undecided"),
    }
}

fn cells(out: &mut impl Write, row: &[String; 4], widths: &[usize; 3]) -> io::Result<()> {
    let [.., last] = row;
    for (cell, width) in row.iter().zip(widths) {
        let pad = width.saturating_sub(textwrap::core::display_width(cell));
        write!(out, "{cell}{:pad$}  ", "")?;
    }
    write!(out, "{last}")
}

fn summary(out: &mut impl Write, inventory: &Inventory) -> io::Result<()> {
    let affected = inventory.stacks.iter().filter(|s| !s.advisories.is_empty()).count();
    let undecided = inventory.stacks.iter().filter(|s| !s.undecided.is_empty()).count();
    let stacks = inventory.stacks.len();
    writeln!(out, "{stacks} stacks: {affected} with advisories, {undecided} with advisories that may apply.")?;
    if undecided > 0 {
        writeln!(
            out,
            "{}",
            wrapped(
                "May apply: no version was found, or it cannot be compared, or nobody has said which versions are affected; --format json lists them.",
                ""
            )
        )?;
    }
    Ok(())
}
