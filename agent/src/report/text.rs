use anstyle::{AnsiColor, Style};
use weighbridge_types::{Severity, Verdict};

/// Width of text for people: the terminal's, within reason.
pub fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(w, _)| usize::from(w.0)).clamp(60, 120)
}

/// `text` wrapped to the terminal, each line after `indent`.
pub fn wrapped(text: &str, indent: &str) -> String {
    textwrap::fill(text, textwrap::Options::new(width()).initial_indent(indent).subsequent_indent(indent))
}

pub const fn bold() -> Style {
    Style::new().bold()
}

pub const fn dim() -> Style {
    Style::new().dimmed()
}

pub const fn good() -> Style {
    AnsiColor::Green.on_default().bold()
}

pub const fn ill() -> Style {
    AnsiColor::Red.on_default().bold()
}

pub const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::Red.on_default().bold(),
        Severity::High => AnsiColor::Red.on_default(),
        Severity::Medium => AnsiColor::Yellow.on_default(),
        Severity::Low => AnsiColor::Cyan.on_default(),
        Severity::Info => Style::new().dimmed(),
    }
}

pub const fn verdict_style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Malicious => AnsiColor::Red.on_default().bold(),
        Verdict::Suspicious => AnsiColor::Yellow.on_default().bold(),
        Verdict::Unknown => AnsiColor::Magenta.on_default(),
        Verdict::Clean => AnsiColor::Green.on_default(),
    }
}

/// `1.4 GB`: decimal units, two significant places.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes;
    let mut rest = 0;
    let mut unit = 0;
    while value >= 1000 && unit + 1 < UNITS.len() {
        rest = value % 1000;
        value /= 1000;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit > 0 && value < 10 { format!("{value}.{} {name}", rest / 100) } else { format!("{value} {name}") }
}

/// `8.0 B`, `270 M`: a parameter count as people say it.
pub fn count(n: u64) -> String {
    let text = size(n);
    match text.split_once(' ') {
        Some((value, "B")) => value.to_owned(),
        Some((value, unit)) => {
            let letter = match unit {
                "kB" => "K",
                "MB" => "M",
                "GB" => "B",
                _ => "T",
            };
            format!("{value}{letter}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(
            (size(0), size(999), size(1500), size(4_700_000_000)),
            ("0 B".into(), "999 B".into(), "1.5 kB".into(), "4.7 GB".into())
        );
        assert_eq!(
            (count(900), count(270_000_000), count(8_030_261_248)),
            ("900".into(), "270M".into(), "8.0B".into())
        );
    }
}
