use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};
use weighbridge_policy::{Repository, TestRun, run_tests};
use weighbridge_types::Shown;

use super::problems::show;
use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct TestOptions {
    /// The policy repository
    dir: PathBuf,

    /// Write the results to FILE as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// A policy without a test is a failure
    #[arg(long)]
    deny_untested: bool,

    /// When cases without `at` happen [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,

    /// List cases that are as expected too
    #[arg(long, short)]
    verbose: bool,
}

pub fn run(options: &TestOptions) -> Result<Outcome, Failure> {
    let repository = Repository::load(&options.dir);
    show(&repository.problems);
    if repository.is_broken() {
        return Ok(Outcome::Incomplete);
    }
    let run = run_tests(&repository, options.at.unwrap_or_else(Timestamp::now));
    show(&run.problems);
    print(&mut anstream::stdout().lock(), &run, options.verbose)?;
    if let Some(path) = &options.junit {
        let failure = |source| Failure::File { action: "write", path: path.display().to_string(), source };
        let mut out = BufWriter::new(File::create(path).map_err(failure)?);
        junit(&mut out, &run).and_then(|()| out.flush()).map_err(failure)?;
    }
    let failed = run.outcomes.iter().any(|o| !o.failures.is_empty());
    Ok(if !run.problems.is_empty() {
        Outcome::Incomplete
    } else if failed || (options.deny_untested && !run.untested.is_empty()) {
        Outcome::No
    } else {
        Outcome::Yes
    })
}

fn print(out: &mut impl Write, run: &TestRun, verbose: bool) -> io::Result<()> {
    let mut failed = 0;
    for outcome in &run.outcomes {
        let place = format!("{}:{}", Shown(&outcome.file), outcome.line);
        if outcome.failures.is_empty() {
            if verbose {
                writeln!(out, "ok      {place} {}", Shown(&outcome.name))?;
            }
            continue;
        }
        failed += 1;
        writeln!(out, "FAILED  {place} {}", Shown(&outcome.name))?;
        for failure in &outcome.failures {
            writeln!(out, "        {}", Shown(failure))?;
        }
    }
    for id in &run.untested {
        writeln!(out, "untested: no case is decided by `{id}`")?;
    }
    let total = run.outcomes.len();
    writeln!(
        out,
        "{total} cases: {} as expected, {failed} not; {} policies untested",
        total - failed,
        run.untested.len()
    )
}

fn junit(out: &mut impl Write, run: &TestRun) -> io::Result<()> {
    let failed = run.outcomes.iter().filter(|o| !o.failures.is_empty()).count().to_string();
    let (tests, errors) = (run.outcomes.len().to_string(), run.problems.len().to_string());
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let mut writer = Writer::new_with_indent(&mut *out, b' ', 2);
    let counts = [("tests", tests.as_str()), ("failures", &failed), ("errors", &errors), ("time", "0")];
    writer.create_element("testsuites").with_attributes(counts).write_inner_content(|w| {
        let suite =
            w.create_element("testsuite").with_attribute(("name", "weighbridge policy")).with_attributes(counts);
        suite.write_inner_content(|w| {
            for outcome in &run.outcomes {
                let (file, name) = (Shown(&outcome.file).to_string(), Shown(&outcome.name).to_string());
                let attributes = [("classname", file.as_str()), ("name", name.as_str()), ("time", "0")];
                let case = w.create_element("testcase").with_attributes(attributes);
                if outcome.failures.is_empty() {
                    case.write_empty()?;
                    continue;
                }
                let lines: Vec<String> = outcome.failures.iter().map(|f| Shown(f).to_string()).collect();
                case.write_inner_content(|w| {
                    let first = lines.first().map_or("", String::as_str);
                    w.create_element("failure")
                        .with_attribute(("message", first))
                        .write_inner_content(|w| w.write_event(Event::Text(BytesText::new(&lines.join("\n")))))?;
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    writeln!(out)
}
