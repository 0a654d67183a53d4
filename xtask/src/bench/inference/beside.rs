use std::path::Path;

use serde_json::Value;

use super::{PROMPT, Place, STREAMS, TOKENS, median, number, script};
use crate::run::{self, Result};
use crate::{test, venv};

/// What must be reached: streams, times llama.cpp.
const GOALS: &[(u64, f64)] = &[(1, 1.3), (4, 2.0), (8, 2.5)];
const GOAL_PREFILL: f64 = 2.0;
const GOAL_SHARE: f64 = 0.7;

/// Ours and theirs, best of rounds, and the ratio of each round.
#[derive(Default)]
struct Pair {
    ours: f64,
    theirs: f64,
    ratios: Vec<f64>,
}

impl Pair {
    fn add(&mut self, ours: f64, theirs: f64) {
        self.ours = self.ours.max(ours);
        self.theirs = self.theirs.max(theirs);
        self.ratios.push(ours / theirs);
    }

    fn show(&mut self, what: &str, goal: f64) {
        let (ours, theirs) = (self.ours, self.theirs);
        println!(
            "{what:12} {ours:7.0} tokens/s, llama.cpp {theirs:7.0}; ratio {:.2} (goal {goal})",
            median(&mut self.ratios)
        );
    }
}

/// The same model, the same threads, one after the other.
pub fn llama(place: &Place, model: &Path, rounds: usize) -> Result {
    let python = venv::with("llama", test::LLAMA)?.join("python").display().to_string();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let (prompt, tokens) = (PROMPT.to_string(), TOKENS.to_string());
    let file = model.display().to_string();
    let mut prefill = Pair::default();
    let mut decode: Vec<Pair> = GOALS.iter().map(|_| Pair::default()).collect();
    let (mut shares, mut first) = (Vec::new(), (f64::INFINITY, f64::INFINITY));
    for _ in 0..rounds {
        let said = run::output(&python, &[&script("llama.py"), &file, &threads, &prompt, &tokens, STREAMS])?;
        let theirs: Value = serde_json::from_str(&said).map_err(|e| format!("llama.py wrote no JSON: {e}"))?;
        let asked = ["--prompt", &prompt, "--tokens", &tokens, "--streams", STREAMS, "--threads", &threads];
        let ours = place.bench(model, &asked)?;
        prefill.add(number(&ours, "/model/prefill/tokens_per_second")?, number(&theirs, "/0/prefill")?);
        for (n, pair) in decode.iter_mut().enumerate() {
            let our = number(&ours, &format!("/model/decode/{n}/tokens_per_second"))?;
            pair.add(our, number(&theirs, &format!("/{n}/decode"))?);
        }
        shares.push(number(&ours, "/model/decode/0/share_of_limit")?);
        first.0 = first.0.min(number(&ours, "/model/first_token/seconds")?);
        first.1 = first.1.min(number(&ours, "/model/first_token/cached_seconds")?);
    }
    prefill.show("prefill 128", GOAL_PREFILL);
    for (pair, (streams, goal)) in decode.iter_mut().zip(GOALS) {
        pair.show(&format!("{streams} streams"), *goal);
    }
    println!("one stream: {:.2} of the measured memory bandwidth (goal {GOAL_SHARE})", median(&mut shares));
    let (fresh, cached) = first;
    println!(
        "first token after 1,000: {:.0} ms, {:.0} ms if they were read before; ratio {:.3} (goal 0.1)",
        fresh * 1e3,
        cached * 1e3,
        cached / fresh
    );
    Ok(())
}
