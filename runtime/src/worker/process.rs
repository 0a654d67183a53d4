//! The process itself.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use weighbridge_sandbox::Layer;
use weighbridge_sandbox::group::{Group, Share};

use super::law;

/// Told to the library of ONNX Runtime before it is loaded.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("ORT_DISABLE_TELEMETRY", "1"),
    // Arenas reserve address space that nothing here needs.
    ("MALLOC_ARENA_MAX", "4"),
];
/// Added to how likely the kernel ends a process when memory runs out
/// (proc_pid_oom_score_adj(5)): workers before whoever watches them.
const OUT_OF_MEMORY_SCORE: &str = "500";
/// Kept of what a worker wrote to standard error last, bytes.
const LAST_WORDS_MAX: usize = 2048;

/// How a worker is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Name of its control group.
    pub group: String,
    /// What it may use.
    pub share: Share,
}

/// A running worker.
#[derive(Debug)]
pub struct Process {
    child: Mutex<Child>,
    /// Its number in the system.
    pub id: u32,
    /// The thread that started it, which must outlive it: the kernel ends the
    /// process with it (`PR_SET_PDEATHSIG`, prctl(2)).
    parent: Mutex<Option<JoinHandle<()>>>,
    last_words: Arc<Mutex<Vec<u8>>>,
    _group: Option<Group>,
    /// Layers that are missing around it, with the reason.
    pub unconfined: Vec<(String, String)>,
}

/// How a worker ended.
#[derive(Debug)]
pub struct Obituary {
    /// As the system has it.
    pub status: String,
    /// What it wrote to standard error last. A library that fails may write
    /// there what it was given: the prompts of callers.
    pub words: String,
}

impl Process {
    /// Starts a worker with `socket` as its standard input, a closed
    /// environment and no other descriptors.
    ///
    /// # Errors
    /// If there is no such program or no thread or process to be had.
    pub fn start(launch: &Launch, socket: UnixStream) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let words = Arc::clone(&last_words);
        let command = launch.clone();
        let parent = thread::Builder::new().name("model-parent".to_owned()).spawn(move || {
            // This thread starts one process and no thread.
            let hidden = weighbridge_sandbox::hide_processes();
            let mut started = spawn(&command, socket);
            let stderr = started.as_mut().ok().and_then(|child| child.stderr.take());
            if tell.send((started, hidden)).is_ok()
                && let Some(stderr) = stderr
            {
                listen(stderr, &words);
            }
        })?;
        let (started, hidden) = told.recv().map_err(|_| io::Error::other("the starting thread ended"))?;
        let child = started?;
        let id = child.id();
        let mut unconfined = Vec::new();
        if let Layer::Missing(reason) = hidden {
            unconfined.push(("process numbers".to_owned(), reason));
        }
        if let Err(e) = std::fs::write(format!("/proc/{id}/oom_score_adj"), OUT_OF_MEMORY_SCORE) {
            unconfined.push(("out-of-memory score".to_owned(), e.to_string()));
        }
        let group = Group::enclose(&launch.group, id, launch.share)
            .map_err(|reason| unconfined.push(("control group".to_owned(), reason)))
            .ok();
        let (child, parent) = (Mutex::new(child), Mutex::new(Some(parent)));
        Ok(Self { child, id, parent, last_words, _group: group, unconfined })
    }

    /// Ends it at once.
    pub fn kill(&self) {
        // Already dead is as good.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    /// How it ended. Call it when it has been killed or is gone.
    pub fn obituary(&self) -> Obituary {
        self.kill();
        let status = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        let parent = self.parent.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(parent) = parent {
            // It ends with the worker's standard error.
            let _ = parent.join();
        }
        let words = std::mem::take(&mut *self.last_words.lock().unwrap_or_else(PoisonError::into_inner));
        let words = law::words(String::from_utf8_lossy(&words).trim());
        Obituary { status: status.map_or_else(|e| e.to_string(), |status: ExitStatus| status.to_string()), words }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither a process nor a zombie is left behind.
        drop(self.obituary());
    }
}

fn spawn(launch: &Launch, socket: UnixStream) -> io::Result<Child> {
    Command::new(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Keeps the end of what is said until nothing more comes.
fn listen(mut stderr: impl Read, words: &Mutex<Vec<u8>>) {
    let mut block = [0; 1024];
    loop {
        match stderr.read(&mut block) {
            Ok(0) => return,
            Ok(length) => {
                let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                words.extend_from_slice(block.get(..length).unwrap_or_default());
                let more = words.len().saturating_sub(LAST_WORDS_MAX);
                words.drain(..more);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
