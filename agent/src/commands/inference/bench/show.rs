use std::io::{self, Write};

use weighbridge_types::Shown;

use super::measure::Measured;
use super::{Bench, fits};
use crate::report::dim;

pub fn print(out: &mut dyn Write, bench: &Bench) -> io::Result<()> {
    let machine = &bench.machine;
    let speed = machine.read_bytes_per_second / 1e9;
    writeln!(out, "{} threads, {}, memory read at {speed:.1} GB/s", machine.threads, machine.instructions)?;
    if let Some(model) = &bench.model {
        print_model(out, model)?;
    }
    print_fits(out, &bench.fits)
}

fn print_model(out: &mut dyn Write, model: &Measured) -> io::Result<()> {
    let dim = dim();
    writeln!(
        out,
        "\n{}: {}, {} of weights in {}, {}",
        Shown(&model.name),
        Shown(&model.architecture),
        count(model.parameters),
        Shown(&model.quantization),
        bytes(model.bytes)
    )?;
    let resident = model.resident_bytes.map(|b| format!(", {} resident", bytes(b))).unwrap_or_default();
    writeln!(out, "  loaded in {:.2} s{resident}", model.load_seconds)?;
    if let Some(prefill) = &model.prefill {
        let title = format!("prompt of {}", prefill.tokens);
        writeln!(out, "  {title:24} {:>9.0} tokens/s", prefill.tokens_per_second)?;
    }
    for decode in &model.decode {
        let title = if decode.streams == 1 { "1 stream".to_owned() } else { format!("{} streams", decode.streams) };
        let share = decode.share_of_limit.map(|s| format!(", {:.0} % of what memory allows", s * 100.0));
        let joules = decode.joules_per_token.map(|j| format!(", {j:.2} J each"));
        let notes = format!("{}{}", share.unwrap_or_default(), joules.unwrap_or_default());
        writeln!(out, "  {title:24} {:>9.1} tokens/s{dim}{notes}{dim:#}", decode.tokens_per_second)?;
    }
    if let Some(first) = &model.first_token {
        let title = format!("first token after {}", first.tokens);
        let (fresh, cached) = (first.seconds * 1e3, first.cached_seconds * 1e3);
        writeln!(out, "  {title:24} {fresh:>9.0} ms, {cached:.0} ms if the prompt was read before")?;
    }
    if let Some(embedding) = &model.embedding {
        let title = format!("texts of {} tokens", embedding.tokens_each);
        writeln!(out, "  {title:24} {:>9.0} texts/s", embedding.texts_per_second)?;
    }
    Ok(())
}

fn print_fits(out: &mut dyn Write, all: &[fits::Fit]) -> io::Result<()> {
    let dim = dim();
    writeln!(out, "\nModels that write, one stream (estimated from memory):")?;
    for fit in all {
        let speed = match fit.fits {
            Some(false) => "does not fit now".to_owned(),
            _ => format!("{:>7.1} tokens/s", fit.tokens_per_second),
        };
        let name = format!("{}B", fit.parameters / 1e9);
        writeln!(out, "  {name:>5} {:4} {dim}{:>8}{dim:#}  {speed}", fit.quantization, gigabytes(fit.bytes))?;
    }
    Ok(())
}

fn count(weights: u64) -> String {
    match weights {
        1_000_000_000.. => format!("{}.{} billion", weights / 1_000_000_000, weights / 100_000_000 % 10),
        _ => format!("{}.{} million", weights / 1_000_000, weights / 100_000 % 10),
    }
}

fn bytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn gigabytes(bytes: f64) -> String {
    format!("{:.1} GB", bytes / 1e9)
}
