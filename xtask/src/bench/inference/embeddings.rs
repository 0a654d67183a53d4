use std::io::Read;
use std::time::Instant;

use serde_json::{Value, json};

use super::service::Service;
use super::{Place, median, script};
use crate::run::{self, Result, root};
use crate::{minilm, venv};

/// What sentence-transformers is installed from.
const PEER: &[&str] = &["sentence-transformers==6.2.0"];
/// Texts of one request, and requests at the same time.
const TEXTS: usize = 64;
const REQUESTS: usize = 4;
const GOAL: f64 = 2.0;

/// Sentences of our own documentation, by us and by sentence-transformers.
pub fn run(place: &Place, rounds: usize) -> Result {
    let model = minilm::folder()?;
    let python = venv::with("sentences", PEER)?.join("python").display().to_string();
    let lines = sentences()?;
    let file = place.folder.join("sentences.txt");
    std::fs::write(&file, lines.join("\n")).map_err(|e| format!("cannot write `{}`: {e}", file.display()))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let service = Service::start(place, &model)?;
    let (mut ours_best, mut theirs_best, mut ratios, mut nearest) = (0.0_f64, 0.0_f64, Vec::new(), 1.0_f64);
    for _ in 0..rounds {
        let (model, file) = (model.display().to_string(), file.display().to_string());
        let said = run::output(&python, &[&script("sentences.py"), &model, &threads, &file, "1"])?;
        let theirs: Value = serde_json::from_str(&said).map_err(|e| format!("sentences.py wrote no JSON: {e}"))?;
        // Once to warm up, as they do.
        embed(&service, lines.get(..32).unwrap_or_default())?;
        let begun = Instant::now();
        let vectors = all(&service, &lines)?;
        let ours = lines.len() as f64 / begun.elapsed().as_secs_f64();
        let their = super::number(&theirs, "/texts_per_second")?;
        (ours_best, theirs_best) = (ours_best.max(ours), theirs_best.max(their));
        ratios.push(ours / their);
        for (ours, theirs) in vectors.iter().zip(array(&theirs, "/vectors")) {
            let theirs: Vec<f64> = theirs.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
            nearest = nearest.min(cosine(ours, &theirs));
        }
    }
    println!(
        "\nall-MiniLM-L6-v2, {} sentences: {ours_best:.0} texts/s over HTTP, sentence-transformers {theirs_best:.0}; ratio {:.2} (goal {GOAL}); cosine of the vectors {nearest:.4} at least",
        lines.len(),
        median(&mut ratios)
    );
    Ok(())
}

/// All lines, in requests that are under way together.
fn all(service: &Service, lines: &[String]) -> Result<Vec<Vec<f64>>> {
    let chunks: Vec<&[String]> = lines.chunks(TEXTS).collect();
    let mut vectors = vec![Vec::new(); chunks.len()];
    std::thread::scope(|scope| {
        let workers = (0..REQUESTS).map(|worker| {
            let chunks = &chunks;
            scope.spawn(move || -> Result<Vec<(usize, Vec<Vec<f64>>)>> {
                let mine = chunks.iter().enumerate().skip(worker).step_by(REQUESTS);
                mine.map(|(n, texts)| Ok((n, embed(service, texts)?))).collect()
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            for (n, found) in worker.join().map_err(|_| "a client panicked".to_owned())?? {
                if let Some(place) = vectors.get_mut(n) {
                    *place = found;
                }
            }
        }
        Ok::<(), String>(())
    })?;
    Ok(vectors.into_iter().flatten().collect())
}

fn embed(service: &Service, texts: &[String]) -> Result<Vec<Vec<f64>>> {
    let mut answer = Vec::new();
    let mut stream = service.post("/v1/embeddings", &json!({ "model": "bench", "input": texts }))?;
    stream.read_to_end(&mut answer).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    // Numbers are read, as a client must.
    let json = body.find('{').and_then(|at| body.get(at..=body.rfind('}')?)).unwrap_or_default();
    let value: Value =
        serde_json::from_str(json).map_err(|e| format!("the service sent no JSON ({e}): {body:.200}"))?;
    let vector = |v: &Value| array(v, "/embedding").filter_map(Value::as_f64).collect();
    let vectors: Vec<Vec<f64>> = array(&value, "/data").map(vector).collect();
    if vectors.len() == texts.len() { Ok(vectors) } else { Err(format!("the service sent no vectors: {body:.200}")) }
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Paragraphs of what we wrote, cut into sentences.
fn sentences() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for name in ["README.md", "docs/architecture.md", "docs/limitations.md", "docs/installing.md", "CHANGELOG.md"] {
        let path = root().join(name);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
        all.extend(text.split(". ").map(|s| s.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    all.retain(|s| (20..600).contains(&s.len()));
    // A thousand are enough, and the same few may come again.
    let more: Vec<String> = all.iter().cycle().take(1024).cloned().collect();
    Ok(more)
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
