//! Where requests are recorded: a file of JSON lines, or nowhere.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use weighbridge_gateway::{Record, RequestRecord};

use crate::exit::Failure;

/// One line for each request.
pub struct Lines(Option<Mutex<File>>);

impl Lines {
    /// Appends to `path`, if there is one.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let file = File::options().append(true).create(true).open(path);
            file.map_err(|source| Failure::File { action: "write", path: path.display().to_string(), source })
        };
        Ok(Self(path.map(open).transpose()?.map(Mutex::new)))
    }
}

impl Record for Lines {
    fn record(&self, entry: RequestRecord) {
        let Some(file) = &self.0 else { return };
        let Ok(mut line) = serde_json::to_vec(&entry) else { return };
        line.push(b'\n');
        let written = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        if let Err(e) = written {
            eprintln!("weighbridge: a request could not be recorded: {e}");
        }
    }
}
