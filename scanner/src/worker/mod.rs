//! The confined process: descriptors in, assessments out.
//!
//! Nothing here opens a path. Rules are compiled while the process still has
//! rights; then it gives them up; only then does it read its first file.

mod assess;
mod digest;
mod source;

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;

use weighbridge_formats::Options;
use weighbridge_provenance::signature::Trust;
use weighbridge_sandbox::{Confinement, Layer, Limits, Profile};

use crate::patterns::Patterns;
use crate::protocol::{self, Assessed, Reply, Request, Start};

/// Bytes of work between two signs of life.
const PROGRESS_BYTES: u64 = 16 << 20;

/// Serves requests from `socket` until the other side closes it.
///
/// # Errors
/// If the socket fails.
pub fn run(socket: &UnixStream) -> io::Result<()> {
    let Some((start, _)) = protocol::receive::<Start>(socket)? else { return Ok(()) };
    let patterns = match Patterns::load(&start.rules) {
        Ok(patterns) => patterns,
        Err(e) => return protocol::send(socket, &Reply::Failed(e.to_string()), &[]),
    };
    let trust = match Trust::new(&start.trust) {
        Ok(trust) => trust,
        Err(e) => return protocol::send(socket, &Reply::Failed(format!("cannot use the trusted signers: {e}")), &[]),
    };
    let scanner = patterns.scanner();
    // Let the engine allocate what it needs while it still may.
    weighbridge_formats::ContentScanner::scan(&scanner, b"warm up", 0, 7);
    let confinement = weighbridge_sandbox::confine(Profile::Scan, &Limits::default());
    if let Some(reason) = unusable(&confinement).filter(|_| !start.danger_unconfined) {
        return protocol::send(socket, &Reply::Failed(reason), &[]);
    }
    protocol::send(socket, &Reply::Ready(confinement), &[])?;
    let options = Options { deep: start.deep, ..Options::default() };
    while let Some((request, handles)) = protocol::receive::<Request>(socket)? {
        for (job, handle) in request.jobs.iter().zip(handles) {
            let owed = Cell::new(0);
            let progress = |bytes: u64| {
                owed.set(owed.get() + bytes);
                if owed.get() >= PROGRESS_BYTES {
                    // If the scanner is gone, the next receive says so.
                    let _ = protocol::send(socket, &Reply::Progress(owed.take()), &[]);
                }
            };
            let assessed: Assessed = assess::file(File::from(handle), job, &options, &trust, &scanner, &progress);
            protocol::send(socket, &Reply::Done(Box::new(assessed)), &[])?;
        }
    }
    Ok(())
}

/// Why this confinement is too weak to parse hostile bytes in.
fn unusable(confinement: &Confinement) -> Option<String> {
    match (&confinement.seccomp, &confinement.landlock) {
        (Layer::Missing(reason), _) => Some(format!(
            "cannot confine the scan worker: the system call filter is not available ({reason}); \
             `--danger-unconfined` scans without it"
        )),
        _ => None,
    }
}
