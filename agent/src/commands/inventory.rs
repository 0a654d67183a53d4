use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use weighbridge_provenance::inventory::{Inventory, Search, inventory};

use super::advisories;
use crate::cli::{InventoryOptions, ListFormat};
use crate::exit::{Failure, Outcome};
use crate::report;

pub fn run(options: &InventoryOptions) -> Result<Outcome, Failure> {
    let catalogue = advisories::catalogue(options.advisories.as_deref())?;
    let inventory = inventory(&search(options), &catalogue);
    match options.format {
        ListFormat::Table => report::inventory(&mut anstream::stdout().lock(), &inventory)?,
        ListFormat::Json => {
            let mut out = BufWriter::new(io::stdout().lock());
            serde_json::to_writer_pretty(&mut out, &inventory).map_err(io::Error::from)?;
            writeln!(out).and_then(|()| out.flush())?;
        }
    }
    Ok(outcome(options, &inventory))
}

fn search(options: &InventoryOptions) -> Search {
    let usual = options.paths.is_empty();
    let here = options.root == Path::new("/");
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|h| h.is_absolute() && usual && here);
    Search { root: options.root.clone(), usual, homes: home.into_iter().collect(), extra: options.paths.clone() }
}

fn outcome(options: &InventoryOptions, inventory: &Inventory) -> Outcome {
    let worst = inventory.stacks.iter().flat_map(|s| &s.advisories).map(|a| a.severity).max();
    if worst.is_some_and(|worst| worst >= options.fail_on) {
        return Outcome::No;
    }
    // A place that was named and could not be read was not looked at.
    let mut named = options.paths.iter().chain([&options.root]);
    let told = |p: &PathBuf| inventory.errors.iter().any(|e| p.to_string_lossy() == e.path);
    if named.any(told) { Outcome::Incomplete } else { Outcome::Yes }
}
