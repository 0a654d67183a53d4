//! Figures for Prometheus (text format 0.0.4). Names of models come from the
//! served ones alone, so that callers cannot make up series.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use crate::models::Models;
use crate::record::{Outcome, RequestRecord};

/// Upper bounds, seconds.
const FIRST_TOKEN_S: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const PER_TOKEN_S: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0];
/// Most models counted apart.
const MODELS_MAX: usize = 1000;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<String, Counters>>);

#[derive(Debug, Default)]
struct Counters {
    outcomes: [u64; Outcome::ALL.len()],
    prompt: u64,
    cached: u64,
    completion: u64,
    first_token: Histogram,
    per_token: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [u64; 12],
    all: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, bounds: &[f64; 12], seconds: f64) {
        for (count, bound) in self.counts.iter_mut().zip(bounds) {
            *count += u64::from(seconds <= *bound);
        }
        self.all += 1;
        self.sum += seconds;
    }

    fn show(&self, out: &mut String, name: &str, model: &str, bounds: &[f64; 12]) {
        for (count, bound) in self.counts.iter().zip(bounds) {
            line(out, format_args!("{name}_bucket{{model=\"{model}\",le=\"{bound}\"}} {count}"));
        }
        line(out, format_args!("{name}_bucket{{model=\"{model}\",le=\"+Inf\"}} {}", self.all));
        line(out, format_args!("{name}_sum{{model=\"{model}\"}} {}", self.sum));
        line(out, format_args!("{name}_count{{model=\"{model}\"}} {}", self.all));
    }
}

/// Writing to a `String` does not fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

impl Metrics {
    /// Counts a request of `model`, the name of a served model or of nothing.
    pub(crate) fn count(&self, model: &str, entry: &RequestRecord) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let model = if all.len() >= MODELS_MAX && !all.contains_key(model) { "other" } else { model };
        let counters = all.entry(model.to_owned()).or_default();
        let at = Outcome::ALL.iter().position(|o| *o == entry.outcome).unwrap_or_default();
        if let Some(count) = counters.outcomes.get_mut(at) {
            *count += 1;
        }
        counters.prompt += entry.prompt_tokens;
        counters.cached += entry.cached_tokens;
        counters.completion += entry.completion_tokens;
        if let Some(first) = entry.first_token_us {
            counters.first_token.add(&FIRST_TOKEN_S, seconds(first));
            let tokens = u32::try_from(entry.completion_tokens.saturating_sub(1)).unwrap_or(u32::MAX);
            if tokens > 0 {
                let time = seconds(entry.latency_us.saturating_sub(first)) / f64::from(tokens);
                counters.per_token.add(&PER_TOKEN_S, time);
            }
        }
    }

    /// All as text, with the figures of the workers.
    pub(crate) fn text(&self, models: &dyn Models) -> String {
        let mut out = String::with_capacity(8192);
        self.requests(&mut out);
        workers(&mut out, models);
        if let Some(joules) = models.joules() {
            head(&mut out, "weighbridge_energy_joules_total", "counter", "Energy used since the start.");
            line(&mut out, format_args!("weighbridge_energy_joules_total {joules}"));
        }
        out
    }

    fn requests(&self, out: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown: Vec<(String, &Counters)> = all.iter().map(|(model, c)| (label(model), c)).collect();
        head(out, "weighbridge_requests_total", "counter", "Requests that ended, by model and outcome.");
        for (model, counters) in &shown {
            for (outcome, count) in Outcome::ALL.iter().zip(counters.outcomes).filter(|(_, count)| *count > 0) {
                let outcome = outcome.name();
                line(
                    out,
                    format_args!("weighbridge_requests_total{{model=\"{model}\",outcome=\"{outcome}\"}} {count}"),
                );
            }
        }
        type Of = fn(&Counters) -> u64;
        let tokens: [(&str, &str, Of); 3] = [
            ("weighbridge_prompt_tokens_total", "Tokens read.", |c| c.prompt),
            ("weighbridge_cached_tokens_total", "Tokens read that were found in the prefix cache.", |c| c.cached),
            ("weighbridge_completion_tokens_total", "Tokens written.", |c| c.completion),
        ];
        for (name, help, of) in tokens {
            head(out, name, "counter", help);
            for (model, counters) in &shown {
                line(out, format_args!("{name}{{model=\"{model}\"}} {}", of(counters)));
            }
        }
        let name = "weighbridge_time_to_first_token_seconds";
        head(out, name, "histogram", "From request to first token.");
        shown.iter().for_each(|(model, c)| c.first_token.show(out, name, model, &FIRST_TOKEN_S));
        let name = "weighbridge_time_per_token_seconds";
        head(out, name, "histogram", "Mean time between tokens of a request, all answers together.");
        shown.iter().for_each(|(model, c)| c.per_token.show(out, name, model, &PER_TOKEN_S));
    }
}

fn workers(out: &mut String, models: &dyn Models) {
    let all: Vec<_> =
        models.list().into_iter().filter_map(|m| Some((label(&m.id), models.stats(&m.id)?))).take(MODELS_MAX).collect();
    type Of = fn(&weighbridge_inference_wire::Stats) -> f64;
    let gauges: [(&str, &str, &str, Of); 8] = [
        ("weighbridge_sequences_running", "gauge", "Sequences that write now.", |s| s.running.into()),
        ("weighbridge_requests_waiting", "gauge", "Requests in the queue.", |s| s.waiting.into()),
        ("weighbridge_pages", "gauge", "Pages of keys and values.", |s| s.pages.into()),
        ("weighbridge_pages_used", "gauge", "Pages in use by sequences.", |s| s.pages_used.into()),
        ("weighbridge_pages_cached", "gauge", "Pages kept for later requests.", |s| s.pages_cached.into()),
        ("weighbridge_steps_total", "counter", "Steps of the model.", |s| float(s.steps)),
        ("weighbridge_step_seconds_total", "counter", "Time in steps.", |s| seconds(s.step_us)),
        ("weighbridge_worker_resident_bytes", "gauge", "Resident memory.", |s| float(s.resident_bytes)),
    ];
    for (name, kind, help, of) in gauges {
        head(out, name, kind, help);
        for (model, stats) in &all {
            line(out, format_args!("{name}{{model=\"{model}\"}} {}", of(stats)));
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

/// Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "figures beyond 2^53 are rounded")]
fn float(value: u64) -> f64 {
    value as f64
}

fn seconds(microseconds: u64) -> f64 {
    float(microseconds) / 1e6
}

/// Label values escape these three ("Text-based format", "Comments, help text
/// and type information").
fn label(text: &str) -> String {
    text.chars().take(256).fold(String::new(), |out, c| match c {
        '\\' => out + "\\\\",
        '"' => out + "\\\"",
        '\n' => out + "\\n",
        c => {
            let mut out = out;
            out.push(c);
            out
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        histogram.add(&FIRST_TOKEN_S, 0.02);
        histogram.add(&FIRST_TOKEN_S, 100.0);
        let mut out = String::new();
        histogram.show(&mut out, "x", "m", &FIRST_TOKEN_S);
        for wanted in
            ["le=\"0.01\"} 0\n", "le=\"0.025\"} 1\n", "le=\"30\"} 1\n", "le=\"+Inf\"} 2\n", "x_count{model=\"m\"} 2\n"]
        {
            assert!(out.contains(wanted), "{wanted}: {out}");
        }
    }

    #[test]
    fn labels_cannot_end_themselves() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
