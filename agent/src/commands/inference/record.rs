//! Where requests are recorded: a file of JSON lines, or nowhere.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use weighbridge_gateway::{Record, RequestRecord};

use crate::exit::Failure;

/// Lines that wait to be written: a few seconds of a busy service.
const WAITING_MAX: usize = 4096;

/// One line for each request. Whoever records waits only if the disk does not
/// keep up: what is not recorded should not happen.
pub struct Lines {
    waiting: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
}

impl Lines {
    /// Appends to `path`, if there is one. Nobody else may read a new file.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self { waiting: None, writer: None }) };
        let failure = |source| Failure::File { action: "write", path: path.display().to_string(), source };
        let mut file = File::options().append(true).create(true).mode(0o600).open(path).map_err(failure)?;
        let (sender, lines) = sync_channel::<Vec<u8>>(WAITING_MAX);
        let write = move || {
            let mut failing = false;
            for line in lines {
                let written = file.write_all(&line);
                if let (Err(e), false) = (&written, failing) {
                    eprintln!("weighbridge: requests cannot be recorded: {e}");
                }
                failing = written.is_err();
            }
        };
        let writer = std::thread::Builder::new().name("record".to_owned()).spawn(write)?;
        Ok(Self { waiting: Some(sender), writer: Some(writer) })
    }
}

impl Drop for Lines {
    /// What waits is written.
    fn drop(&mut self) {
        drop(self.waiting.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Record for Lines {
    fn record(&self, entry: RequestRecord) {
        let Some(lines) = &self.waiting else { return };
        let Ok(mut line) = serde_json::to_vec(&entry) else { return };
        line.push(b'\n');
        // The writer lives as long as this.
        let _ = lines.send(line);
    }
}
