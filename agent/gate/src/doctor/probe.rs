use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use weighbridge_platform::fanotify::{Answer, Buffer, Class, Group, Mask, Notifier, Scope};
use weighbridge_platform::file::FileKey;
use weighbridge_platform::{mapping, mount};

use super::{Check, Coverage};
use crate::message::EBUSY;

/// Content that the probe refuses to open.
const REFUSED: &[u8] = b"GGUF: refused by the self-test";
/// Longest that a helper program may take.
const HELPER_WITHIN: Duration = Duration::from_secs(3);
/// How often the answering thread looks whether it is done.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Tries everything.
pub fn all(dir: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |name, title, result: io::Result<Coverage>| {
        let coverage = result.unwrap_or_else(|e| Coverage::Unknown(e.to_string()));
        checks.push(Check { name, title, coverage });
    };
    note("notifications", "changes are told with names", Notifier::new().map(|_| Coverage::Covered));
    note("mapped-rewrite", "a rewrite through a shared mapping is seen", mapped_rewrite(dir));
    let bench = Bench::new();
    let mut on_bench = |name, title, check: fn(&Bench) -> io::Result<Coverage>| {
        let result = match &bench {
            Ok(bench) => bench.answering(|| check(bench)),
            Err(e) => Ok(Coverage::Unknown(e.to_string())),
        };
        note(name, title, result);
    };
    on_bench("open", "opens are asked about by file system", |b| opened(File::open(b.model())));
    on_bench("errno", "refusals can say that verification is pending", errno);
    on_bench("bind-mount", "opens through a bind mount", bind_mount);
    on_bench("overlay", "opens through an overlay", overlay);
    on_bench("hard-link", "opens by another name", hard_link);
    on_bench("reopen", "reopening a descriptor through /proc", reopen);
    on_bench("unnamed-file", "reopening a file without a name (O_TMPFILE)", unnamed);
    on_bench("memfd", "opening a file in memory (memfd)", memfd);
    on_bench("truncate", "truncating by path", truncate);
    on_bench("mapped-rewrite-tmpfs", "a rewrite through a shared mapping on tmpfs", |b| mapped_rewrite(&b.root()));
    on_bench("user-namespace-tmpfs", "a tmpfs of an unprivileged user can be marked", user_namespace);
    checks
}

/// A tmpfs of our own under a gate of our own.
struct Bench {
    group: Group,
    root: OwnedFd,
    asked: AtomicU64,
}

impl Bench {
    fn new() -> io::Result<Self> {
        let group = Group::gate()?;
        let root = mount::detached(c"tmpfs", &[(c"size", c"4m")])?;
        let bench = Self { group, root, asked: AtomicU64::new(0) };
        std::fs::create_dir(bench.root().join("lower"))?;
        std::fs::write(bench.model(), REFUSED)?;
        bench.mark(&bench.root())?;
        Ok(bench)
    }

    fn root(&self) -> PathBuf {
        path_of(&self.root)
    }

    fn model(&self) -> PathBuf {
        self.root().join("lower/model")
    }

    fn mark(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt;
        self.group.mark(&CString::new(path.as_os_str().as_bytes())?, Scope::FileSystem, Mask::OPEN_PERM)
    }

    /// Runs `check` while another thread answers: refuses what says so.
    fn answering<T>(&self, check: impl FnOnce() -> T) -> T {
        let done = Done(AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = Buffer::default();
                while !done.0.load(Ordering::SeqCst) {
                    self.answer(&mut buffer);
                }
            });
            let _stop = Stop(&done);
            check()
        })
    }

    fn answer(&self, buffer: &mut Buffer) {
        let _ = rustix::event::poll(&mut [PollFd::new(&self.group, PollFlags::IN)], Some(&TICK));
        let _ = self.group.read(buffer, |noted| {
            let Some(Ok(file)) = &noted.file else { return };
            self.asked.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; REFUSED.len()];
            let refused = file.read_at(&mut head, 0).is_ok_and(|n| head.get(..n) == Some(REFUSED));
            let answer = if refused { Answer::Deny(EBUSY) } else { Answer::Allow };
            let _ = self.group.answer(file.as_raw_fd(), answer);
        });
    }
}

struct Done(AtomicBool);

/// Ends the answering thread however the check ends.
struct Stop<'a>(&'a Done);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

fn path_of(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Covered if the open of a file that is refused was refused.
fn opened(result: io::Result<File>) -> io::Result<Coverage> {
    match result {
        Ok(_) => Ok(Coverage::Open("the file opened without a question".to_owned())),
        Err(e) if matches!(e.raw_os_error(), Some(EBUSY | 1)) => Ok(Coverage::Covered),
        Err(e) => Err(e),
    }
}

fn errno(bench: &Bench) -> io::Result<Coverage> {
    Ok(match File::open(bench.model()).err().and_then(|e| e.raw_os_error()) {
        Some(EBUSY) => Coverage::Covered,
        _ if bench.group.class() == Class::PreContent => Coverage::Open("before Linux 6.14: always EPERM".to_owned()),
        _ => Coverage::Open("no pre-content class on this kernel: always EPERM".to_owned()),
    })
}

fn bind_mount(bench: &Bench) -> io::Result<Coverage> {
    let second = mount::bound(bench.root.as_fd())?;
    opened(File::open(path_of(&second).join("lower/model")))
}

fn overlay(bench: &Bench) -> io::Result<Coverage> {
    let lower = CString::new(format!("{}/lower", bench.root().display()))?;
    std::fs::create_dir_all(bench.root().join("empty"))?;
    let empty = CString::new(format!("{}/empty", bench.root().display()))?;
    let both = CString::new([lower.as_bytes(), b":", empty.as_bytes()].concat())?;
    let root = mount::detached(c"overlay", &[(c"lowerdir", &both)])?;
    opened(File::open(path_of(&root).join("model")))
}

fn hard_link(bench: &Bench) -> io::Result<Coverage> {
    let link = bench.root().join("link");
    std::fs::hard_link(bench.model(), &link)?;
    opened(File::open(&link))
}

fn reopen(bench: &Bench) -> io::Result<Coverage> {
    let path = rustix::fs::open(bench.model(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    opened(File::open(path_of(&path)))
}

fn unnamed(bench: &Bench) -> io::Result<Coverage> {
    let flags = OFlags::TMPFILE.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(bench.root())?;
    file.write_all(REFUSED)?;
    opened(File::open(path_of(&file)))
}

fn memfd(_: &Bench) -> io::Result<Coverage> {
    let mut file = File::from(rustix::fs::memfd_create("weighbridge-probe", MemfdFlags::CLOEXEC)?);
    file.write_all(REFUSED)?;
    opened(File::open(path_of(&file)))
}

fn truncate(bench: &Bench) -> io::Result<Coverage> {
    let path = CString::new(format!("{}/cut", bench.root().display()))?;
    std::fs::write(bench.root().join("cut"), b"content")?;
    let before = bench.asked.load(Ordering::SeqCst);
    mapping::truncate(&path)?;
    // The answer, if any, was given before truncate(2) returned.
    Ok(if bench.asked.load(Ordering::SeqCst) > before {
        Coverage::Covered
    } else {
        Coverage::Open("truncate(2) asks nobody; it destroys but does not read".to_owned())
    })
}

/// The change time must move, or a verdict outlives the content it is about.
/// The second write is the telling one: the page is mapped and dirty already,
/// and only a file system that cleans it in between sees that.
fn mapped_rewrite(dir: &Path) -> io::Result<Coverage> {
    let path = dir.join(format!(".weighbridge-probe-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let result = rewritten(&file);
    let removed = std::fs::remove_file(&path);
    result.and_then(|coverage| removed.map(|()| coverage))
}

fn rewritten(mut file: &File) -> io::Result<Coverage> {
    let key = || {
        // Beyond the resolution of change times on any file system.
        std::thread::sleep(Duration::from_millis(20));
        file.metadata().map(|meta| FileKey::from(&meta))
    };
    file.write_all(b"content")?;
    let mut map = mapping::Shared::of(file)?;
    let written = key()?;
    map.set(b'C');
    let mapped = key()?;
    map.set(b'D');
    let dirty = key()?;
    file.sync_data()?;
    let clean = key()?;
    map.set(b'E');
    let last = key()?;
    Ok(if clean == last {
        let reason = "this file system does not date writes to a page that is mapped already, not even after fsync(2): \
                      a verdict holds for changed content while a writer keeps its mapping";
        Coverage::Open(reason.to_owned())
    } else if written == mapped {
        Coverage::Open("the first write through a mapping is not dated".to_owned())
    } else if mapped == dirty {
        Coverage::Open("only after fsync(2): call it before the key of a file is taken".to_owned())
    } else {
        Coverage::Covered
    })
}

/// A user mounts a tmpfs where only it can see it; we mark it from outside.
fn user_namespace(bench: &Bench) -> io::Result<Coverage> {
    let unshare = ["/usr/bin/unshare", "/bin/unshare"].into_iter().find(|p| Path::new(p).exists());
    let Some(unshare) = unshare else {
        return Ok(Coverage::Unknown("there is no unshare(1) to try it with".to_owned()));
    };
    let script =
        "mount -t tmpfs none /mnt && cat >/mnt/model <<E && echo ready && read go && cat /mnt/model >/dev/null\n";
    let script = format!("{script}{}\nE\n", String::from_utf8_lossy(REFUSED));
    let mut child = Command::new(unshare)
        .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let result = (|| {
        let ready = child.stdout.as_mut().is_some_and(|out| {
            let within = Timespec { tv_sec: HELPER_WITHIN.as_secs().cast_signed(), tv_nsec: 0 };
            let some = rustix::event::poll(&mut [PollFd::new(&*out, PollFlags::IN)], Some(&within)).unwrap_or(0);
            let mut word = [0; 5];
            some > 0 && out.read_exact(&mut word).is_ok() && &word == b"ready"
        });
        if !ready {
            return Ok(Coverage::Unknown("a user namespace with a tmpfs could not be made".to_owned()));
        }
        if let Err(e) = bench.mark(&PathBuf::from(format!("/proc/{}/root/mnt", child.id()))) {
            return Ok(Coverage::Open(format!("it cannot be marked from outside: {e}")));
        }
        child.stdin.take().map_or(Ok(()), |mut input| input.write_all(b"go\n"))?;
        let end = std::time::Instant::now() + HELPER_WITHIN;
        while std::time::Instant::now() < end {
            match child.try_wait()? {
                Some(status) if status.success() => {
                    return Ok(Coverage::Open("the file opened although it is marked".to_owned()));
                }
                Some(_) => return Ok(Coverage::Covered),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(Coverage::Unknown("the helper took too long".to_owned()))
    })();
    let _ = child.kill();
    let _ = child.wait();
    result
}
