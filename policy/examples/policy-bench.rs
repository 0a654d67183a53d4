//! Figures of the policy engine, for `cargo xtask bench policy`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use weighbridge_policy::{
    Action, Assessment, Context, Mode, PolicySet, Principal, Repository, Request, Resource, decide, init,
};
use weighbridge_types::{Sha256, Strength};

const APPROVALS: u64 = 1_000;
const POLICIES: usize = 50;
const TIMED: usize = 200_000;
const REPLAYED: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: policy-bench EMPTY_FOLDER")?;
    let folder = Path::new(&folder);
    write(folder)?;
    let before = resident();
    let started = Instant::now();
    let set = Repository::load(folder).into_set().map_err(|problems| format!("{problems:?}"))?;
    let load = started.elapsed();
    println!("policies: {}, approvals: {APPROVALS}", set.ids().count());
    println!("load, validate, lint: {:.0} ms (goal 250)", load.as_secs_f64() * 1e3);
    println!("memory of the loaded set: {:.1} MB", (resident().saturating_sub(before)) as f64 / 1e6);
    single(&set);
    replay(&set);
    Ok(())
}

/// The starter with more policies and approvals.
fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    init(folder)?;
    let mut text = String::new();
    for n in 11..POLICIES {
        // A third asks for a format first, a third cannot be told apart by
        // anything, a third is about a family.
        let (scope, first) = match n % 3 {
            0 => ("resource", format!("resource.format == \"format-{n}\" && resource.sizeBytes > {n}")),
            1 => ("resource", format!("resource.sizeBytes > {n}000000000 && resource.severity > 1")),
            _ => ("resource in Family::\"qwen3\"", format!("resource.licences.contains(\"licence-{n}\")")),
        };
        writeln!(
            text,
            "@id(\"extra-{n}\") @owner(\"o\") @rationale(\"r\") @severity(\"low\")\nforbid (principal, action in [Action::\"load\", Action::\"serve\"], {scope})\nwhen {{ {first} }} unless {{ resource in ApprovalSet::\"approved\" }};"
        )?;
    }
    fs::write(folder.join("policies/extra.cedar"), text)?;
    let mut text = String::new();
    for n in 0..APPROVALS {
        writeln!(
            text,
            "- for: {{ models: [\"sha256:{}\"], actions: [load, serve] }}\n  approver: a\n  reason: r\n  expires: 2027-12-31",
            digest(n)
        )?;
    }
    fs::write(folder.join("data/approvals.yaml"), text)?;
    Ok(())
}

fn digest(n: u64) -> Sha256 {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(n.to_le_bytes()).for_each(|(to, from)| *to = from);
    Sha256::new(bytes)
}

/// Every other model is approved.
fn model(n: u64) -> Assessment {
    Assessment {
        name: format!("model-{n}"),
        sha256: Some(digest(n % (2 * APPROVALS))),
        size_bytes: n << 20,
        origin: Some(Strength::Content),
        origins: [("pkg:huggingface/Qwen/Qwen3-0.6B".to_owned(), Strength::Content)].into(),
        licences: ["apache-2.0".to_owned()].into(),
        family: Some("qwen3".to_owned()),
        parameters: Some(600_000_000),
        ..Assessment::default()
    }
}

fn ask(set: &PolicySet, model: &Assessment, principal: &Principal, context: &Context) -> bool {
    let request = Request { principal, action: Action::Load, resource: Resource::Model(model), context };
    decide(&request, set).refuses()
}

fn context() -> Context {
    Context { mode: Some(Mode::Lockdown), ..Context::at(Timestamp::UNIX_EPOCH) }
}

fn single(set: &PolicySet) {
    let (principal, context) = (Principal::User("bob".to_owned()), context());
    let models: Vec<Assessment> = (0..2 * APPROVALS).map(model).collect();
    let mut times = Vec::with_capacity(TIMED);
    let mut refused = 0;
    for model in models.iter().cycle().take(TIMED) {
        let started = Instant::now();
        refused += usize::from(ask(set, model, &principal, &context));
        times.push(started.elapsed());
    }
    times.sort();
    let at = |hundredth: usize| times.get(TIMED / 100 * hundredth).copied().unwrap_or_default().as_secs_f64() * 1e6;
    println!("one decision: p50 {:.1} µs, p99 {:.1} µs (goal 50), {refused} of {TIMED} refused", at(50), at(99));
}

fn replay(set: &PolicySet) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(2) as u64;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for core in 0..cores {
            scope.spawn(move || {
                let (principal, context) = (Principal::User("bob".to_owned()), context());
                for n in 0..REPLAYED / cores {
                    std::hint::black_box(ask(set, &model(n * cores + core), &principal, &context));
                }
            });
        }
    });
    let took: Duration = started.elapsed();
    println!("1,000,000 decisions on {cores} cores: {:.1} s (goal 30)", took.as_secs_f64());
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
