//! The public conformance suites, run against our binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::run::{Result, run, target, weighbridge};
use crate::venv;

/// What the suite of model signing needs.
const PACKAGES: &[&str] = &["pytest==8.4.2", "jsonschema==4.25.1", "referencing==0.37.0"];
/// Who signed the bundles of the Sigstore suite, where a case does not say.
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[derive(Debug, Args)]
pub struct Options {
    /// Repository of the suite of the Sigstore clients
    #[arg(long, value_name = "GIT", default_value = "https://github.com/sigstore/sigstore-conformance")]
    sigstore: String,
    /// Its commit
    #[arg(long, value_name = "COMMIT", default_value = "a73de4970176d258e0154c530b89d20b89444e4d")]
    sigstore_commit: String,
    /// Repository of the suite of OpenSSF Model Signing
    #[arg(long, value_name = "GIT", default_value = "https://github.com/sampras343/model-signing-conformance")]
    model_signing: String,
    /// Its commit
    #[arg(long, value_name = "COMMIT", default_value = "114b0f72da8d7502cfdc3c83003c9d2d4a30682e")]
    model_signing_commit: String,
    /// Repository of the specification of OpenSSF Model Signing, whose schemas the suite uses
    #[arg(long, value_name = "GIT", default_value = "https://github.com/ossf/model-signing-spec")]
    specification: String,
    /// Its commit
    #[arg(long, value_name = "COMMIT", default_value = "a0c91e2c930298efb8e8445bf475e4fa217d89cd")]
    specification_commit: String,
}

pub fn run_suites(options: &Options) -> Result {
    let program = weighbridge("release")?;
    let sigstore = checkout("sigstore", &options.sigstore, &options.sigstore_commit)?;
    let failed = bundles(&program, &sigstore.join("test/assets/bundle-verify"))?;
    let suite = checkout("model-signing", &options.model_signing, &options.model_signing_commit)?;
    let specification = checkout("specification", &options.specification, &options.specification_commit)?;
    models(&program, &suite, &specification)?;
    if failed == 0 { Ok(()) } else { Err(format!("{failed} cases of the Sigstore suite fail")) }
}

/// A work tree of `repository` at `commit`.
fn checkout(name: &str, repository: &str, commit: &str) -> Result<PathBuf> {
    let folder = target().join("conformance").join(name);
    let shown = folder.display().to_string();
    if !folder.join(".git").exists() {
        run("git", &["clone", "--quiet", "--no-checkout", repository, &shown])?;
    }
    run("git", &["-C", &shown, "checkout", "--quiet", "--force", commit])?;
    Ok(folder)
}

/// The Sigstore suite: every folder is a case, twice, as file and as digest.
/// Returns how many came out wrong.
fn bundles(program: &Path, folder: &Path) -> Result<usize> {
    let failure = |e: std::io::Error| format!("cannot read `{}`: {e}", folder.display());
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).map_err(failure)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    cases.sort();
    let mut wrong = 0;
    for as_digest in [false, true] {
        let mut right = 0;
        for case in &cases {
            let wanted = !case.to_string_lossy().ends_with("_fail");
            if bundle(program, case, as_digest)? == wanted {
                right += 1;
            } else {
                wrong += 1;
                println!("wrong: {}", case.display());
            }
        }
        let mode = if as_digest { "digests" } else { "files" };
        println!("Sigstore bundles, {mode}: {right} of {} cases", cases.len());
    }
    Ok(wrong)
}

fn bundle(program: &Path, case: &Path, as_digest: bool) -> Result<bool> {
    let own = |name: &str| Some(case.join(name)).filter(|p| p.exists());
    let word = |name: &str, other: &str| {
        own(name).and_then(|p| fs::read_to_string(p).ok()).map_or_else(|| other.to_owned(), |t| t.trim().to_owned())
    };
    let artifact = own("artifact").unwrap_or_else(|| case.with_file_name("a.txt"));
    let mut command = Command::new(program);
    command.args(["conformance", "verify-bundle", "--bundle"]).arg(case.join("bundle.sigstore.json"));
    match own("key.pub") {
        Some(key) => command.arg("--key").arg(key),
        None => command
            .args(["--certificate-identity", &word("identity", IDENTITY)])
            .args(["--certificate-oidc-issuer", &word("issuer", ISSUER)]),
    };
    if let Some(root) = own("trusted_root.json") {
        command.arg("--trusted-root").arg(root);
    }
    if as_digest {
        use sha2::Digest;
        let content = fs::read(&artifact).map_err(|e| format!("cannot read `{}`: {e}", artifact.display()))?;
        let digest: String = sha2::Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
        command.arg(format!("sha256:{digest}"));
    } else {
        command.arg(artifact);
    }
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(|e| e.to_string())?;
    // A crash is not a refusal.
    match status.code() {
        Some(0) => Ok(true),
        Some(1 | 2) => Ok(false),
        _ => Err(format!("`{}` ended the program: {status}", case.display())),
    }
}

/// The suite of model signing: its own harness calls us through a script.
fn models(program: &Path, suite: &Path, specification: &Path) -> Result {
    let bin = venv::with("conformance", PACKAGES)?;
    let pip = bin.join("pip").display().to_string();
    run(&pip, &["install", "--quiet", "--disable-pip-version-check", &specification.display().to_string()])?;
    let script = target().join("conformance/client");
    let text = format!("#!/bin/sh\nexec '{}' conformance \"$@\"\n", program.display());
    fs::write(&script, text).map_err(|e| format!("cannot write `{}`: {e}", script.display()))?;
    run("chmod", &["+x", &script.display().to_string()])?;
    // The harness leaves out what needs a token when there is none. Verifying
    // keyless bundles needs none, so they are asked for; signing keylessly does.
    eprintln!("+ pytest test");
    let status = Command::new(bin.join("python"))
        .args(["-m", "pytest", "test", "-q", "-k", "not (roundtrip and sigstore)", "-p", "no:cacheprovider"])
        .arg(format!("--entrypoint={}", script.display()))
        .env("SIGSTORE_ID_TOKEN", "none: these cases only verify")
        .current_dir(suite)
        .status()
        .map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err("cases of the model signing suite fail".to_owned()) }
}
