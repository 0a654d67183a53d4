//! Everything that must hold before a change lands.

use clap::Args;

use crate::run::{self, Result, have};
use crate::{debian, onnxruntime, schemas, venv};

/// Python packages the end-to-end tests check reports with.
const CHECKERS: &[&str] = &[
    "jsonschema==4.25.1",
    "xmlschema==4.1.0",
    "cyclonedx-python-lib[json-validation]==11.12.0",
    "spdx-python-model==0.0.6",
];

/// Python packages that make and convert models for the tests of lineage.
pub const CONVERTERS: &[&str] = &["gguf==0.19.0", "numpy==2.4.6", "safetensors==0.8.0"];

/// The reference implementation of OpenSSF Model Signing, with the package it
/// forgets to declare, and what the tests' own Sigstore instance is made of.
pub const REFERENCE: &[&str] =
    &["cryptography==50.0.2", "model-signing==1.1.1", "pyopenssl==26.4.0", "rfc8785==0.1.4", "sigstore==4.5.1"];

/// The reference implementation of The Update Framework.
const UPDATERS: &[&str] = &["securesystemslib[crypto]==1.6.0", "tuf==6.0.0"];

/// The client of the Hugging Face hub, whose downloads the daemon must know.
const HUBS: &[&str] = &["huggingface_hub==2.4.0"];

/// Another program that answers permission events, and a library it needs.
pub const FAPOLICYD: &[&str] = &["fapolicyd", "liblmdb0"];

/// What reads the graphs the importer writes.
const GRAPHS: &[&str] = &["numpy==2.4.6", "onnx==1.23.2"];

/// Clients of the inference interfaces.
const INFERENCE: &[&str] = &[
    "langchain-openai==1.7.3",
    "numpy==2.4.6",
    "ollama==0.6.3",
    "openai==3.54.0",
    "schemathesis==4.32.5",
    "tritonclient[http]==2.73.0",
];

/// The same of Node.
const INFERENCE_NODE: &str = "openai@6.49.0";

/// An inference stack, built from its source.
pub const LLAMA: &[&str] = &["--no-binary=llama-cpp-python", "llama-cpp-python[server]==0.3.36"];

#[derive(Debug, Args)]
pub struct Options {
    /// Build llama.cpp from its source, too, and run the test that needs it: 20 minutes more
    #[arg(long)]
    slow: bool,
}

pub fn run(options: &Options) -> Result {
    run::run("cargo", &["fmt", "--all", "--check"])?;
    run::run("cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    // Tests that use it say so when it is missing; a machine without a
    // package registry can still run the rest.
    if let Err(e) = venv::with("checkers", CHECKERS).and_then(|_| schemas::fetch()) {
        eprintln!("the schema checks will be skipped: {e}");
    }
    if let Err(e) = venv::with("lineage", CONVERTERS) {
        eprintln!("the tests of converted models will be skipped: {e}");
    }
    if let Err(e) = venv::with("signing", REFERENCE) {
        eprintln!("the tests beside the reference implementation of model signing will be skipped: {e}");
    }
    if let Err(e) = venv::with("updating", UPDATERS) {
        eprintln!("the test beside the reference implementation of TUF will be skipped: {e}");
    }
    if let Err(e) = venv::with("importing", GRAPHS) {
        eprintln!("the test of imported graphs will be skipped: {e}");
    }
    if let Err(e) = venv::with("hubs", HUBS) {
        eprintln!("the test of a hub's own client will be skipped: {e}");
    }
    if let Err(e) = debian::with("fapolicyd", FAPOLICYD) {
        eprintln!("the test of two programs that answer permission events will be skipped: {e}");
    }
    if let Err(e) = debian::with("git-lfs", &["git-lfs"]) {
        eprintln!("the test of downloads by git-lfs will be skipped: {e}");
    }
    if let Err(e) = onnxruntime::library() {
        eprintln!("the tests of inference will be skipped: {e}");
    }
    if let Err(e) = venv::with("inference", INFERENCE).and_then(|_| node("inference", INFERENCE_NODE)) {
        eprintln!("tests of inference clients will be skipped: {e}");
    }
    if let Err(e) = tool("cedar-policy-cli", "4.14.1", "cedar") {
        eprintln!("the test beside Cedar's own command line will be skipped: {e}");
    }
    if !have("cargo", &["nextest", "--version"]) {
        install("cargo-nextest")?;
    }
    run::run("cargo", &["build", "--quiet", "--workspace", "--bins"])?;
    run::run("cargo", &["nextest", "run", "--workspace", "--no-fail-fast"])?;
    if options.slow {
        venv::with("llama", LLAMA)?;
        let only = ["nextest", "run", "--workspace", "--run-ignored", "only", "-E", "test(llama_cpp_python)"];
        run::run("cargo", &only)?;
    }
    run::run("cargo", &["test", "--quiet", "--workspace", "--doc"])
}

/// Installs `package` of Node below `target/node/NAME`, once.
fn node(name: &str, package: &str) -> Result {
    let folder = run::target().join("node").join(name);
    let stamp = folder.join("weighbridge-package");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == package) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make `{}`: {e}", folder.display()))?;
    run::run(
        "npm",
        &["install", "--silent", "--no-audit", "--no-fund", "--prefix", &folder.display().to_string(), package],
    )?;
    std::fs::write(&stamp, package).map_err(|e| format!("cannot write `{}`: {e}", stamp.display()))
}

/// Builds `program` of `version` of `package` into `target/tools`, once, and
/// returns its path.
pub fn tool(package: &str, version: &str, program: &str) -> Result<String> {
    let folder = run::target().join("tools");
    let ours = folder.join("bin").join(program).display().to_string();
    if have(&ours, &["--version"]) {
        return Ok(ours);
    }
    let folder = folder.display().to_string();
    run::run(
        "cargo",
        &["install", "--quiet", "--locked", "--debug", "--root", &folder, "--version", version, package],
    )?;
    Ok(ours)
}

/// Installs a cargo tool from the registry.
pub fn install(tool: &str) -> Result {
    run::run("cargo", &["install", "--quiet", "--locked", tool])
}
