use std::io::{self, Write};

use weighbridge_types::Report;

/// The report as it is (`docs/schema/scan-1.json`).
pub fn json(out: &mut impl Write, report: &Report) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
