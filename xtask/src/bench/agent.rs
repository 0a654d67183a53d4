use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use sha2::Digest;

use super::files;
use super::measure::{best, program};
use crate::run::{Result, run as run_shown, target, weighbridge};
use crate::{debian, test};

/// Size of the model that is dropped, bytes.
const MODEL_BYTES: u64 = 1 << 30;

#[derive(Debug, Args)]
pub struct Options {
    /// Time at which nothing happens, seconds
    #[arg(long, default_value_t = 60)]
    idle: u64,

    /// Runs of each; the best counts
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

/// The daemon beside physical limits. The gate needs root.
pub fn run(options: &Options) -> Result {
    let ours = weighbridge("release")?;
    let data = target().join("bench");
    run_shown("cargo", &["build", "--quiet", "--release", "--workspace", "--bins"])?;
    println!(
        "open() of files that are no models, without and under the gate, and under fapolicyd where it can be had:"
    );
    opens()?;
    unchanged(options, &ours, &data)?;
    let folder = data.join("agent");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("home")).map_err(|e| e.to_string())?;
    let daemon = Daemon::start(&ours, &folder)?;
    dropped(options, &daemon)?;
    idle(options, &daemon)
}

/// In a mount namespace of its own, so that the other listener asks nobody
/// else. What it lets through it lets through without a look at its trust.
fn opens() -> Result {
    let bench = target().join("release/gate-bench").display().to_string();
    let peer = match debian::with("fapolicyd", test::FAPOLICYD) {
        Ok(unpacked) => unpacked,
        Err(e) => {
            println!("fapolicyd cannot be had: {e}");
            return run_shown(&bench, &[]);
        }
    };
    let start = target().join("bench/fapolicyd");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fapolicyd.sh");
    let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", script.display(), peer.display());
    fs::create_dir_all(target().join("bench")).and_then(|()| fs::write(&start, text)).map_err(|e| e.to_string())?;
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    let start = start.display().to_string();
    run_shown("unshare", &["--mount", "--propagation", "private", "--", &bench, "--beside", &start])
}

/// A sweep over files that have not changed, beside `find`.
fn unchanged(options: &Options, ours: &Path, data: &Path) -> Result {
    files::make(data)?;
    let (small, cache) = (data.join("small"), data.join("small.cache"));
    let (small, cache) = (small.display().to_string(), cache.display().to_string());
    let limit = Duration::from_secs(600);
    let scan = ["scan", &small, "--quiet", "--cache", &cache, "--format", "json"];
    let timed = |program_: &Path, arguments: &[&str]| {
        let once = || program(program_, arguments, limit)?.ok_or_else(|| "it took too long".to_owned());
        best(options.runs, once, |m| m.wall)
    };
    // Once to fill the cache; files younger than two seconds are not remembered.
    program(ours, &scan, limit)?;
    let sweep = timed(ours, &scan)?;
    let find = timed(Path::new("find"), &[&small, "-type", "f", "-size", "+0"])?;
    let ratio = sweep.wall.as_secs_f64() / find.wall.as_secs_f64();
    println!("200,000 unchanged files: {:.3} s", sweep.wall.as_secs_f64());
    println!("`find -type f -size +0` over them: {:.3} s; ratio {ratio:.2} (goal 1.5)", find.wall.as_secs_f64());
    Ok(())
}

/// From the end of a copy of a new model to what the daemon says of it.
fn dropped(options: &Options, daemon: &Daemon) -> Result {
    let model = daemon.folder.join("model.safetensors");
    write_model(&model)?;
    let digest = best(options.runs, || bare_digest(&model), |d| *d)?;
    let mut times = Vec::new();
    for n in 0..options.runs {
        let name = format!("home/m{n}.safetensors");
        fs::copy(&model, daemon.folder.join(&name)).map_err(|e| e.to_string())?;
        let started = Instant::now();
        while !daemon.ask(&["models"])?.contains(&name) {
            if started.elapsed() > Duration::from_secs(60) {
                return Err(format!("`{name}` was not found in a minute"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        times.push(started.elapsed());
    }
    let took = times.into_iter().min().unwrap_or_default().as_secs_f64();
    let ratio = took / digest.as_secs_f64();
    println!("new model of 1 GiB, closed to assessed: {took:.3} s");
    println!("bare digest of it: {:.3} s; ratio {ratio:.2} (goal 1.1)", digest.as_secs_f64());
    Ok(())
}

fn write_model(path: &Path) -> Result {
    use std::io::Write;
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{MODEL_BYTES}],"data_offsets":[0,{MODEL_BYTES}]}}}}"#);
    let failure = |e: std::io::Error| format!("cannot write `{}`: {e}", path.display());
    let mut file = std::io::BufWriter::new(fs::File::create(path).map_err(failure)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failure)?;
    file.write_all(header.as_bytes()).map_err(failure)?;
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for _ in 0..MODEL_BYTES >> 20 {
        file.write_all(&block).map_err(failure)?;
    }
    file.flush().map_err(failure)
}

pub fn bare_digest(path: &Path) -> Result<Duration> {
    use std::io::Read;
    let started = Instant::now();
    let mut file = fs::File::open(path).map_err(|e| e.to_string())?;
    let (mut hasher, mut buffer) = (sha2::Sha256::new(), vec![0; 256 << 10]);
    loop {
        let n = file.read(&mut buffer).map_err(|e| e.to_string())?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
    }
    std::hint::black_box(hasher.finalize());
    Ok(started.elapsed())
}

/// Share of a core and resident memory of all processes while nothing happens.
fn idle(options: &Options, daemon: &Daemon) -> Result {
    std::thread::sleep(Duration::from_secs(5));
    let before = daemon.processor_time();
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(options.idle));
    let used = daemon.processor_time().saturating_sub(before).as_secs_f64();
    let share = used / started.elapsed().as_secs_f64() * 100.0;
    println!(
        "idle for {} s: {share:.2} % of a core (goal 0.5), {} MB resident (goal 60)",
        options.idle,
        daemon.resident() / 1_000_000
    );
    Ok(())
}

/// A daemon with everything on but the gate.
struct Daemon {
    process: Child,
    program: PathBuf,
    folder: PathBuf,
}

impl Daemon {
    fn start(program: &Path, folder: &Path) -> Result<Self> {
        let policy = folder.join("policy");
        run_shown(&program.display().to_string(), &["policy", "init", &policy.display().to_string()])?;
        let config = "state = \"state\"\nsocket = \"control.sock\"\n[policy]\ndirectory = \"policy\"\n[files]\nroots = [\"home\"]\nstores = false\n";
        fs::write(folder.join("w.toml"), config).map_err(|e| e.to_string())?;
        let process = Command::new(program)
            .args(["daemon", "--config"])
            .arg(folder.join("w.toml"))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot run `{}`: {e}", program.display()))?;
        let daemon = Self { process, program: program.to_path_buf(), folder: folder.to_path_buf() };
        let started = Instant::now();
        while daemon.ask(&["status"]).is_err() {
            if started.elapsed() > Duration::from_secs(30) {
                return Err("the daemon does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The first sweep, and the watch.
        std::thread::sleep(Duration::from_secs(2));
        Ok(daemon)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .args(["--format", "json"])
            .env("WEIGHBRIDGE_SOCKET", self.folder.join("control.sock"))
            .output()
            .map_err(|e| e.to_string())?;
        if output.status.code() == Some(2) {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.process.id()];
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id()));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
        }
        all
    }

    fn processor_time(&self) -> Duration {
        // Fields 14 and 15, in hundredths of a second (proc_pid_stat(5)).
        let ticks = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            after.split(' ').skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum::<u64>()
        };
        Duration::from_millis(10 * self.processes().iter().map(ticks).sum::<u64>())
    }

    fn resident(&self) -> u64 {
        let resident = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
        };
        self.processes().iter().map(resident).sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
