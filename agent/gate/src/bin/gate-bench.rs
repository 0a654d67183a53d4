//! What the gate costs: open() of files that are no models, without and under
//! it, on a file system made for the purpose. Needs root; prints JSON.
//!
//! `gate-bench [DIR]` makes the file system under DIR (default: the temporary
//! directory). `--files N`, `--opens N` and `--rounds N` change the amounts.
//! `--beside PROGRAM` measures another listener, too: PROGRAM is run with the
//! folder and an empty one, and says "Starting to listen" on standard error.
//! It is also its own gate and its own opener, and those of the tests.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("skipped: there is no gate on this operating system");
    std::process::ExitCode::from(2)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::{self, BufRead, BufReader, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::time::Instant;

    use weighbridge_gate::{Gate, Start};

    pub fn main() -> ExitCode {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        let done = match args.split_first() {
            Some((word, _)) if word == "__gate" => gate(),
            Some((word, rest)) if word == "__open" => open(rest),
            Some((word, rest)) if word == "__time" => time(rest),
            _ => bench(&args),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("error: {e}");
                ExitCode::from(2)
            }
        }
    }

    fn gate() -> io::Result<()> {
        weighbridge_gate::run(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Opens each file once; a line for each with the error number, or 0.
    fn open(files: &[OsString]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for file in files {
            let errno = File::open(file).err().map_or(0, |e| e.raw_os_error().unwrap_or(-1));
            writeln!(out, "{errno}")?;
        }
        Ok(())
    }

    fn file(dir: &Path, index: usize) -> PathBuf {
        dir.join(format!("{:02x}", index % 64)).join(format!("{index}.txt"))
    }

    fn number(arg: Option<&OsString>) -> io::Result<usize> {
        let words = "expected a number";
        arg.and_then(|a| a.to_str()?.parse().ok()).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, words))
    }

    /// `DIR FILES OPENS`: opens files of DIR in no order; prints nanoseconds
    /// of open() at p50, p99 and p99.9.
    fn time(args: &[OsString]) -> io::Result<()> {
        let dir = Path::new(args.first().map_or("".as_ref(), |a| a.as_os_str()));
        let (files, opens) = (number(args.get(1))?.max(1), number(args.get(2))?.max(1));
        let paths: Vec<PathBuf> = (0..files).map(|i| file(dir, i)).collect();
        let mut spans = Vec::with_capacity(opens);
        let mut at = 0_usize;
        for _ in 0..opens {
            // A stride that shares no factor with round amounts.
            at = (at + 7_919) % files;
            let Some(path) = paths.get(at) else { continue };
            let start = Instant::now();
            let open = File::open(path);
            let span = start.elapsed().as_nanos();
            drop(open?);
            spans.push(u64::try_from(span).unwrap_or(u64::MAX));
        }
        spans.sort_unstable();
        let rank = |permille: usize| spans.get((spans.len() * permille / 1_000).min(spans.len().saturating_sub(1)));
        for permille in [500, 990, 999] {
            println!("{}", rank(permille).copied().unwrap_or(0));
        }
        Ok(())
    }

    fn option(args: &[OsString], name: &str, default: usize) -> io::Result<usize> {
        match args.iter().position(|a| a == name) {
            Some(at) => number(args.get(at + 1)),
            None => Ok(default),
        }
    }

    fn bench(args: &[OsString]) -> io::Result<()> {
        let files = option(args, "--files", 20_000)?;
        let opens = option(args, "--opens", 200_000)?;
        let rounds = option(args, "--rounds", 3)?.max(1);
        let base = args.first().filter(|a| !a.as_encoded_bytes().starts_with(b"--")).map(PathBuf::from);
        let volume = Volume::new(&base.unwrap_or_else(std::env::temp_dir))?;
        let dir = volume.dir.clone();
        for index in 0..files {
            let path = file(&dir, index);
            if index < 64 {
                std::fs::create_dir_all(path.parent().unwrap_or(&dir))?;
            }
            std::fs::write(path, vec![b'x'; 1_024])?;
        }
        let program = std::env::current_exe()?;
        let run = |opens: usize| opener(&program, &dir, files, opens);
        run(files)?;
        let peer = args.iter().position(|a| a == "--beside").and_then(|at| args.get(at + 1));
        let (mut open, mut gated, mut first) = (Vec::new(), Vec::new(), Vec::new());
        let mut beside = Vec::new();
        for _ in 0..rounds {
            open.push(run(opens)?);
            if let Some(peer) = peer {
                let peer = Peer::start(Path::new(peer), &dir)?;
                run(files)?;
                beside.push(run(opens)?);
                drop(peer);
            }
            let gate =
                Gate::spawn(&program, &["__gate".into()], Start::new(vec![dir.clone()])).map_err(io::Error::other)?;
            first.push(run(files)?);
            gated.push(run(opens)?);
            let health = gate.health().map_err(io::Error::other)?;
            eprintln!(
                "{} of {files} files ignored, {} questions, {} late",
                health.ignored, health.answered, health.late
            );
        }
        let [open, gated, first] = [open, gated, first].map(median);
        let ratio = |of: &[u64], at: usize| match (of.get(at), open.get(at)) {
            (Some(a), Some(b)) => (precise(*a) / precise((*b).max(1)) * 100.0).round() / 100.0,
            _ => f64::NAN,
        };
        let mut report = serde_json::json!({
            "file_system": volume.kind, "files": files, "opens": opens, "rounds": rounds,
            "unmarked_ns": { "p50": open.first(), "p99": open.get(1), "p999": open.get(2) },
            "gated_ns": { "p50": gated.first(), "p99": gated.get(1), "p999": gated.get(2) },
            "first_ns": { "p50": first.first(), "p99": first.get(1), "p999": first.get(2) },
            "ratio": { "p50": ratio(&gated, 0), "p99": ratio(&gated, 1), "p999": ratio(&gated, 2) },
        });
        if let (false, Some(report)) = (beside.is_empty(), report.as_object_mut()) {
            let beside = median(beside);
            let ns = serde_json::json!({ "p50": beside.first(), "p99": beside.get(1), "p999": beside.get(2) });
            report.insert("beside_ns".to_owned(), ns);
            let ratios = [0, 1, 2].map(|at| ratio(&beside, at));
            report.insert("beside_ratio".to_owned(), serde_json::json!(ratios));
        }
        println!("{report:#}");
        Ok(())
    }

    /// Another program that answers permission events.
    struct Peer {
        process: Child,
        scratch: PathBuf,
    }

    impl Peer {
        fn start(program: &Path, dir: &Path) -> io::Result<Self> {
            let scratch = dir.with_extension("peer");
            std::fs::create_dir_all(&scratch)?;
            let mut process = Command::new(program).arg(dir).arg(&scratch).stderr(Stdio::piped()).spawn()?;
            let said = BufReader::new(process.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
            let peer = Self { process, scratch };
            let mut lines = said.lines();
            let listens = lines.any(|line| line.is_ok_and(|line| line.contains("Starting to listen")));
            // It must not wait for us to read what it says.
            std::thread::spawn(move || lines.for_each(drop));
            if listens { Ok(peer) } else { Err(io::Error::other("the other listener did not start")) }
        }
    }

    impl Drop for Peer {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
            let _ = Command::new("umount").arg("-l").arg(&self.scratch).output();
            let _ = std::fs::remove_dir(&self.scratch);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of an open are far below 2^52")]
    fn precise(ns: u64) -> f64 {
        ns as f64
    }

    /// Each column's median over the rounds.
    fn median(rounds: Vec<Vec<u64>>) -> Vec<u64> {
        (0..3)
            .map(|column| {
                let mut values: Vec<u64> = rounds.iter().filter_map(|r| r.get(column).copied()).collect();
                values.sort_unstable();
                values.get(values.len() / 2).copied().unwrap_or(0)
            })
            .collect()
    }

    fn opener(program: &Path, dir: &Path, files: usize, opens: usize) -> io::Result<Vec<u64>> {
        let counts = [files.to_string(), opens.to_string()];
        let out = Command::new(program).arg("__time").arg(dir).args(counts).output()?;
        if !out.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&out.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| l.parse().ok()).collect())
    }

    /// A file system of our own: ext4 in a file where that can be made, else
    /// a tmpfs.
    struct Volume {
        dir: PathBuf,
        image: PathBuf,
        kind: &'static str,
    }

    impl Volume {
        fn new(base: &Path) -> io::Result<Self> {
            let name = format!("weighbridge-bench-{}", std::process::id());
            let (dir, image) = (base.join(&name), base.join(format!("{name}.img")));
            std::fs::create_dir(&dir)?;
            File::create(&image)?.set_len(512 << 20)?;
            let done = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
            let mut volume = Self { dir, image, kind: "ext4" };
            let ext4 = done(Command::new("mkfs.ext4").args(["-q", "-F", "-N", "65536"]).arg(&volume.image))
                && done(Command::new("mount").args(["-o", "loop"]).arg(&volume.image).arg(&volume.dir));
            if !ext4 {
                volume.kind = "tmpfs";
                if !done(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&volume.dir)) {
                    return Err(io::Error::other("cannot mount a file system; run as root"));
                }
            }
            Ok(volume)
        }
    }

    impl Drop for Volume {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
            let _ = std::fs::remove_dir(&self.dir);
            let _ = std::fs::remove_file(&self.image);
        }
    }
}
