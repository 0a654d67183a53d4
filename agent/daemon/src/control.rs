//! The control socket: who asks is known by the kernel, and what they may ask
//! follows from that.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_types::{Severity, Shown};

use crate::core::Core;
use crate::error::DaemonError;
use crate::events::{Event, Kind};
use crate::scans::Work;
use crate::why;
use crate::wire::{Answer, QUESTION_BYTES_MAX, Question};

/// Questions answered at the same time; more are told to come back.
const CALLERS_MAX: usize = 16;
/// Time a caller has to put a question.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reason of a request for approval, characters.
const REASON_MAX: usize = 2000;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub uid: u32,
    pub pid: u32,
}

impl Caller {
    /// May change what the daemon holds.
    pub fn is_administrator(self) -> bool {
        self.uid == 0 || self.uid == rustix::process::getuid().as_raw()
    }

    /// May hear what programs of `uid` do.
    fn may_hear_of(self, uid: u32) -> bool {
        self.uid == uid || self.is_administrator()
    }

    /// May hear of the file at `path`: an administrator; others if it is theirs
    /// or all may read it, and the folders on the way let them through.
    pub fn may_see(self, path: &Path) -> bool {
        let may = |path: &Path, bit: u32| {
            let meta = std::fs::symlink_metadata(path);
            meta.is_ok_and(|m| !m.is_symlink() && (m.uid() == self.uid || m.mode() & bit != 0))
        };
        self.is_administrator() || may(path, 0o004) && path.ancestors().skip(1).all(|folder| may(folder, 0o001))
    }
}

/// Listens on the configured socket.
///
/// # Errors
/// [`DaemonError::Socket`] if another daemon has it.
pub fn listen(path: &Path) -> Result<UnixListener, DaemonError> {
    let failure = |reason: String| DaemonError::Socket { path: path.display().to_string(), reason };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| failure(e.to_string()))?;
    }
    if UnixStream::connect(path).is_ok() {
        return Err(failure("another daemon listens there".to_owned()));
    }
    if std::fs::symlink_metadata(path).is_ok() {
        std::fs::remove_file(path).map_err(|e| failure(e.to_string()))?;
    }
    let listener = UnixListener::bind(path).map_err(|e| failure(e.to_string()))?;
    // Everyone may ask; who may hear what is decided for each question.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(|e| failure(e.to_string()))?;
    Ok(listener)
}

/// Answers until the listener ends with the process.
pub fn serve(core: &Arc<Core>, listener: &UnixListener) {
    let callers = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors, say: others go on.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if callers.fetch_add(1, Ordering::AcqRel) >= CALLERS_MAX {
            callers.fetch_sub(1, Ordering::AcqRel);
            let _ = reply(&stream, &Answer::Refused("the daemon is busy; try again".to_owned()));
            continue;
        }
        let (core, callers) = (Arc::clone(core), Arc::clone(&callers));
        std::thread::spawn(move || {
            if let Err(e) = converse(&core, &stream) {
                let _ = reply(&stream, &Answer::Refused(format!("that is no question: {e}")));
            }
            callers.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

fn converse(core: &Core, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let caller = Caller { uid: peer.uid.as_raw(), pid: peer.pid.as_raw_nonzero().get().unsigned_abs() };
    let mut line = Vec::new();
    BufReader::new(stream.take(QUESTION_BYTES_MAX)).read_until(b'\n', &mut line)?;
    let question = serde_json::from_slice(&line)?;
    let answer = match answer(core, caller, question) {
        Ok(value) => Answer::Done(value),
        Err(reason) => Answer::Refused(reason),
    };
    reply(stream, &answer)
}

fn reply(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn answer(core: &Core, caller: Caller, question: Question) -> Result<Value, String> {
    let administrator = || {
        let no = || "only an administrator may do that; run it as root".to_owned();
        caller.is_administrator().then_some(()).ok_or_else(no)
    };
    match question {
        Question::Status => core.status(),
        Question::Models => core.record.list(&|path| caller.may_see(path)),
        Question::Runtimes => Ok(core.live().runtimes(|uid| caller.may_hear_of(uid))),
        Question::Downloads => Ok(core.live().downloads(|uid| caller.may_hear_of(uid))),
        Question::Events { limit } => {
            administrator()?;
            core.record.events(limit)
        }
        Question::Why { path, action } => why::why(core, caller, &path.path(), action),
        Question::Request { path, reason } => request(core, caller, &path.path(), &reason),
        Question::Quarantined => {
            administrator()?;
            core.record.quarantined()
        }
        Question::Restore { id, to } => {
            administrator()?;
            let to = to.map(|t| t.path());
            let place = core.record.restore(&id, to.as_deref())?;
            told(core, caller, "restore", &id, &place.to_string_lossy());
            // The gate must know the file before anyone opens it.
            let back = Work::Files(vec![place.clone()]);
            match core.scans.run(back, &core.policies.current()) {
                Ok(found) => core.found(&found),
                Err(e) => core.fault("a file that was brought back could not be inspected", &e),
            }
            Ok(json!({ "id": id, "path": place.to_string_lossy() }))
        }
        Question::Purge { id } => {
            administrator()?;
            core.record.purge(&id)?;
            told(core, caller, "purge", &id, "");
            Ok(json!({ "id": id }))
        }
        Question::AuditVerify => {
            administrator()?;
            core.record.verify()
        }
        Question::AuditExport { to } => {
            administrator()?;
            core.record.export(&to.path())
        }
    }
}

/// Asks for `path` to be approved.
fn request(core: &Core, caller: Caller, path: &Path, reason: &str) -> Result<Value, String> {
    let reason: String = reason.trim().chars().take(REASON_MAX).collect();
    if reason.is_empty() {
        return Err("a request needs a reason (`--reason`)".to_owned());
    }
    let known = why::known(core, caller, path)?;
    let who = core.users().name(caller.uid);
    let digest = known.artifact.sha256.ok_or("the file has no digest: all of it must be readable")?;
    let id = core.record.request(caller.uid, &who, &digest, path, &reason)?;
    core.tell(&Event::new(
        Severity::Low,
        Kind::Request,
        format!("{} asks for {}: {}", Shown(&who), Shown(&known.artifact.path), Shown(&reason)),
        json!({ "id": id, "uid": caller.uid, "user": who, "sha256": digest, "path": known.artifact.path, "reason": reason }),
    ));
    Ok(json!({ "id": id, "sha256": digest, "at": Timestamp::now() }))
}

fn told(core: &Core, caller: Caller, action: &str, id: &str, place: &str) {
    let who = core.users().name(caller.uid);
    core.tell(&Event::new(
        Severity::Medium,
        Kind::Action,
        format!("{} did {action} {id} {}", Shown(&who), Shown(place)),
        json!({ "action": action, "id": id, "uid": caller.uid, "pid": caller.pid, "place": place }),
    ));
}
