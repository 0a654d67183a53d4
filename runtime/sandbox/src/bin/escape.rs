//! Confines itself, then tries one way out: the other half of
//! `tests/escape.rs`. Exits with 0 if the attempt was refused, 1 if it
//! worked, 2 if it could not be made.

use std::fs::File;
use std::net::TcpStream;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let Some(attempt) = std::env::args().nth(1) else { return ExitCode::from(2) };
    let before = File::open("/proc/self/exe");
    let confinement =
        weighbridge_sandbox::confine(&weighbridge_sandbox::Limits { memory_bytes: 64 << 20, descriptors: 16 });
    let escaped = match attempt.as_str() {
        "layers" => {
            for (layer, reason) in confinement.missing() {
                eprintln!("{layer}: {reason}");
            }
            confinement.missing().next().is_some()
        }
        "read-held-file" => {
            use std::os::unix::fs::FileExt;
            // Not an escape: what was handed over must keep working.
            !before.is_ok_and(|f| f.read_at(&mut [0; 4], 0).is_ok())
        }
        "open" => File::open("/etc/hostname").is_ok(),
        "create" => File::create("/tmp/weighbridge-escape").is_ok(),
        "connect" => {
            TcpStream::connect(("127.0.0.1", 1)).is_err_and(|e| e.kind() != std::io::ErrorKind::PermissionDenied)
        }
        "spawn" => Command::new("/bin/true").spawn().is_ok(),
        "thread" => std::thread::Builder::new().spawn(|| {}).is_ok(),
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
        "kill" => rustix::process::kill_process(
            rustix::process::getppid().unwrap_or(rustix::process::Pid::INIT),
            rustix::process::Signal::CONT,
        )
        .is_ok(),
        #[cfg(target_os = "linux")]
        "root" => rustix::process::geteuid().is_root(),
        #[cfg(target_os = "linux")]
        "memfd" => rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::empty()).is_ok(),
        #[cfg(target_os = "linux")]
        "socket" => {
            rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).is_ok()
        }
        _ => return ExitCode::from(2),
    };
    ExitCode::from(u8::from(escaped))
}
