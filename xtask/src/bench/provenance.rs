use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::files;
use super::measure::{Measured, best, program};
use super::scan::{bare_digest, row};
use crate::run::{Result, have, run as run_shown, target, weighbridge};
use crate::{test, venv};

const LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct Options {
    /// Runs of each; the best counts
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

/// A signed model and what verifies it.
struct Signed {
    folder: PathBuf,
    public: String,
    trust: String,
    bytes: u64,
}

pub fn run(options: &Options) -> Result {
    let ours = weighbridge("release")?;
    let data = target().join("bench");
    println!("making the files (6 GB, once)");
    files::make(&data)?;
    let one = sign(&ours, &data, "signed-one", &["model.safetensors"])?;
    let two = sign(&ours, &data, "signed-two", &["model.safetensors", "model.gguf"])?;
    println!("\n{:58} {:>10} {:>10} {:>9}  ratio", "", "seconds", "memory", "GB/s");

    let file = one.folder.join("model.safetensors");
    let bare = best(options.runs, || bare_digest(&file), |m| m.wall)?;
    row("sha2 loop, one core, 2 GB safetensors", bare, one.bytes, "");
    let scanned = scan(options, &ours, &one, "1")?;
    let ratio = bare.wall.as_secs_f64() / scanned.wall.as_secs_f64();
    row("scan with verification, 1 worker", scanned, one.bytes, &format!("{ratio:.3} of the loop's speed (goal 0.95)"));

    let single = scan(options, &ours, &two, "1")?;
    row("scan with verification, 2 files, 1 worker", single, two.bytes, "");
    let both = scan(options, &ours, &two, "2")?;
    let ratio = single.wall.as_secs_f64() / both.wall.as_secs_f64();
    row("scan with verification, 2 files, 2 workers", both, two.bytes, &format!("{ratio:.2} × one worker"));

    let folder = two.folder.display().to_string();
    let verify = measured(options, &ours, &["verify", &folder, "--quiet", "--key", &two.public])?;
    row("weighbridge verify, 2 files", verify, two.bytes, "");
    let peer = |what: &str, measured: Measured| {
        let ratio = measured.wall.as_secs_f64() / verify.wall.as_secs_f64();
        row(what, measured, two.bytes, &format!("verify is {ratio:.2} × as fast"));
    };
    let names = ["model.safetensors", "model.gguf"].map(|n| two.folder.join(n).display().to_string());
    let openssl = measured(options, Path::new("openssl"), &["dgst", "-sha256", &names[0], &names[1]])?;
    peer("openssl dgst -sha256, the same 2 files", openssl);
    let reference = venv::with("signing", test::REFERENCE)?.join("model_signing");
    let bundle = two.folder.join("model.sig").display().to_string();
    let arguments = ["verify", "key", &folder, "--signature", &bundle, "--public_key", &two.public];
    peer("model-signing (Python), the same model", measured(options, &reference, &arguments)?);
    Ok(())
}

/// A model of hard links to `names` in the mixed tree, signed with a new key.
fn sign(ours: &Path, data: &Path, name: &str, names: &[&str]) -> Result<Signed> {
    if !have("openssl", &["version"]) {
        return Err("openssl is not installed; it makes the key and is one of the peers".to_owned());
    }
    let failure = |e: std::io::Error| format!("cannot make `{name}`: {e}");
    let folder = data.join(name);
    fs::create_dir_all(&folder).map_err(failure)?;
    let mut bytes = 0;
    for file in names {
        let (from, to) = (data.join("mixed").join(file), folder.join(file));
        if !to.exists() {
            fs::hard_link(&from, &to).map_err(failure)?;
        }
        bytes += fs::metadata(&to).map_err(failure)?.len();
    }
    let at = |end: &str| data.join(format!("{name}{end}")).display().to_string();
    let (key, public, trust) = (at(".pem"), at(".pub"), at(".toml"));
    run_shown(
        "openssl",
        &["genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key],
    )
    .or_else(|_| run_shown("openssl", &["ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", &key]))?;
    run_shown("openssl", &["pkey", "-in", &key, "-pubout", "-out", &public])?;
    fs::write(&trust, format!("[[signer]]\nkey = {public:?}\n")).map_err(failure)?;
    run_shown(&ours.display().to_string(), &["sign", &folder.display().to_string(), "--key", &key, "--quiet"])?;
    Ok(Signed { folder, public, trust, bytes })
}

fn measured(options: &Options, program_path: &Path, arguments: &[&str]) -> Result<Measured> {
    let once = || {
        let measured = program(program_path, arguments, LIMIT)?
            .ok_or_else(|| format!("`{}` took over {} s", program_path.display(), LIMIT.as_secs()))?;
        match measured.code {
            Some(0) => Ok(measured),
            code => Err(format!("`{} {}` ended with {code:?}", program_path.display(), arguments.join(" "))),
        }
    };
    best(options.runs, once, |m| m.wall)
}

fn scan(options: &Options, ours: &Path, signed: &Signed, jobs: &str) -> Result<Measured> {
    let folder = signed.folder.display().to_string();
    let arguments = ["scan", &folder, "--format", "json", "--jobs", jobs, "--trust", &signed.trust];
    let output = std::process::Command::new(ours).args(arguments).output().map_err(|e| e.to_string())?;
    if !String::from_utf8_lossy(&output.stdout).contains("\"trusted\"") {
        return Err(format!("`{folder}` is not trusted; nothing to measure"));
    }
    measured(options, ours, &arguments)
}
