//! Claims about pickles. Samples are put together by [`asm`]; nothing here is
//! ever loaded.

mod asm;
mod bounds;
mod gadgets;
mod honest;
mod identification;
mod interleaved;
mod opcodes;
mod streams;

use weighbridge_types::Verdict;

use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, verdict};

fn inspect(bytes: &[u8]) -> Outcome {
    inspect_bytes("model.pkl", bytes)
}

fn evidence(outcome: &Outcome) -> String {
    outcome.findings.iter().map(|f| format!("{}: {}\n", f.rule, f.detail)).collect()
}

#[track_caller]
fn is_malicious(bytes: &[u8], expected: &str) {
    let outcome = inspect(bytes);
    assert_eq!(verdict(&outcome), Verdict::Malicious, "{}", evidence(&outcome));
    assert!(evidence(&outcome).contains(expected), "`{expected}` is not in: {}", evidence(&outcome));
}

#[track_caller]
fn is_suspicious(bytes: &[u8], rule: &str) {
    let outcome = inspect(bytes);
    assert_eq!(verdict(&outcome), Verdict::Suspicious, "{}", evidence(&outcome));
    assert!(rules(&outcome).contains(&rule), "{}", evidence(&outcome));
}

#[track_caller]
fn is_clean(bytes: &[u8]) {
    let outcome = inspect(bytes);
    assert!(outcome.format.is_some(), "not recognised");
    assert_eq!(verdict(&outcome), Verdict::Clean, "{}", evidence(&outcome));
}
