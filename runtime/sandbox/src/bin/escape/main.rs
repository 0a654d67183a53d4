//! Confines itself, then tries one way out: the other half of
//! `tests/escape.rs`. `escape PROFILE ATTEMPT` exits with 0 if the attempt was
//! refused, 1 if it worked, 2 if it could not be made.

#[cfg(target_os = "linux")]
mod calls;

use std::fs::File;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use weighbridge_sandbox::{Layer, Limits, Profile};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(profile), Some(attempt)) = (arguments.next(), arguments.next()) else { return ExitCode::from(2) };
    let held = Held {
        file: File::open("/proc/self/exe"),
        folder: File::open("/"),
        namespace: File::open("/proc/self/ns/net"),
        status: File::open("/proc/self/status"),
    };
    let mut limits = Limits { memory_bytes: 64 << 20, descriptors: 16, ..Limits::default() };
    let first = match profile.as_str() {
        "scan" => Profile::Scan,
        "load" | "run" => Profile::ModelLoad,
        _ => return ExitCode::from(2),
    };
    if first != Profile::Scan {
        (limits.threads, limits.address_bytes) = (64, Some(1 << 30));
    }
    let confinement = weighbridge_sandbox::confine(first, &limits);
    // Legitimate work: a thread that is asked and answers.
    let (ask, asked) = mpsc::channel::<u64>();
    let (answer, answered) = mpsc::channel();
    let worker = (first != Profile::Scan).then(|| {
        thread::Builder::new()
            .spawn(move || asked.iter().all(|n| answer.send(vec![n; 1 << 16].iter().sum::<u64>()).is_ok()))
    });
    let narrowed = if profile == "run" { weighbridge_sandbox::narrow(Profile::ModelRun) } else { Layer::Active };
    let escaped = match attempt.as_str() {
        "layers" => {
            for (layer, reason) in confinement.missing() {
                eprintln!("{layer}: {reason}");
            }
            confinement.missing().next().is_some() || narrowed != Layer::Active
        }
        "work" => {
            // Not an escape: what a model needs must go on.
            let works = worker.is_some_and(|w| w.is_ok()) && ask.send(3).is_ok() && answered.recv() == Ok(3 << 16);
            !works
        }
        "thread" => thread::Builder::new().spawn(|| {}).is_ok(),
        other => match attempt_named(other, &held) {
            Some(escaped) => escaped,
            None => return ExitCode::from(2),
        },
    };
    ExitCode::from(u8::from(escaped))
}

/// What the process holds from before.
struct Held {
    file: std::io::Result<File>,
    folder: std::io::Result<File>,
    namespace: std::io::Result<File>,
    /// Asking the system who one is may be refused; this file says it.
    status: std::io::Result<File>,
}

fn attempt_named(attempt: &str, held: &Held) -> Option<bool> {
    use std::net::{TcpStream, UdpSocket};
    use std::process::Command;
    let connected = |result: std::io::Result<TcpStream>| {
        // Refused by the other side would mean that we got through.
        result.map_or_else(|e| e.kind() != std::io::ErrorKind::PermissionDenied, |_| true)
    };
    Some(match attempt {
        "read-held-file" => {
            use std::io::Read;
            // Not an escape: what was handed over must keep working.
            !held.file.as_ref().is_ok_and(|mut f| f.read(&mut [0; 4]).is_ok())
        }
        "root" => {
            use std::io::Read;
            let mut text = String::new();
            let read = held.status.as_ref().is_ok_and(|mut f| f.read_to_string(&mut text).is_ok());
            let users = text.lines().find_map(|line| line.strip_prefix("Uid:"));
            !read || users.is_none_or(|users| users.split_whitespace().any(|id| id == "0"))
        }
        "open" => File::open("/etc/hostname").is_ok(),
        "open-relative" => File::open("etc/hostname").is_ok() || File::open("../etc/hostname").is_ok(),
        "open-self" => File::open("/proc/self/mem").is_ok() || File::open("/proc/self/maps").is_ok(),
        "create" => File::create("/tmp/weighbridge-escape").is_ok(),
        "connect" => connected(TcpStream::connect(("127.0.0.1", 1))),
        "datagram" => UdpSocket::bind(("127.0.0.1", 0)).is_ok(),
        "connect-path" => std::os::unix::net::UnixStream::connect("/run/systemd/notify")
            .map_or_else(|e| e.kind() != std::io::ErrorKind::PermissionDenied, |_| true),
        "socket-pair" => std::os::unix::net::UnixStream::pair().is_ok(),
        "spawn" => Command::new("/bin/true").spawn().is_ok(),
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            (0..128).all(|_| {
                let mut block = Vec::new();
                let fits = block.try_reserve_exact(1 << 20).is_ok();
                hoard.push(block);
                fits
            })
        }
        #[cfg(target_os = "linux")]
        other => return calls::attempt(other, held),
        #[cfg(not(target_os = "linux"))]
        _ => return None,
    })
}
