use serde::Serialize;

use super::machine::Machine;

/// Usual sizes, billions of weights.
const SIZES: &[f64] = &[0.5, 1.0, 1.5, 3.0, 4.0, 8.0, 14.0, 32.0, 70.0];
/// Ways to store them: name, bytes per weight with scales (our packed layouts
/// of 32 weights: 288 bytes for 512 in 4 bits, 544 in 8 bits).
const KINDS: &[(&str, f64)] = &[("int4", 288.0 / 512.0), ("int8", 544.0 / 512.0)];
/// Share of the bandwidth limit that one stream usually reaches.
const USUAL_SHARE: f64 = 0.7;
/// Beside the weights: keys and values of a few long texts, activations,
/// tokenizer.
const BESIDE_BYTES: f64 = 1.4e9;

/// A size of model, and how it would be here.
#[derive(Debug, Serialize, PartialEq)]
pub struct Fit {
    /// Weights.
    pub parameters: f64,
    /// How they are stored.
    pub quantization: &'static str,
    /// Memory of weights, keys, values and the rest.
    pub bytes: f64,
    /// Whether that can be had now; unknown where the system does not tell.
    pub fits: Option<bool>,
    /// Tokens per second of one stream, estimated: a token reads all weights.
    pub tokens_per_second: f64,
}

/// What fits, taking one stream to reach `share` of what memory allows.
pub fn fits(machine: &Machine, share: Option<f64>) -> Vec<Fit> {
    let share = share.unwrap_or(USUAL_SHARE);
    let sizes = KINDS.iter().flat_map(|kind| SIZES.iter().map(move |size| (kind, *size)));
    let fits = sizes.map(|((name, bytes_each), billions)| {
        let parameters = billions * 1e9;
        let weights = parameters * bytes_each;
        let bytes = weights + BESIDE_BYTES;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let fits = machine.available_bytes.map(|available| bytes <= available as f64);
        let tokens_per_second = machine.read_bytes_per_second / weights * share;
        Fit { parameters, quantization: name, bytes, fits, tokens_per_second }
    });
    fits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_told_by_memory_and_bandwidth() {
        let machine = Machine {
            threads: 2,
            instructions: "scalar",
            read_bytes_per_second: 45e9,
            available_bytes: Some(8_000_000_000),
        };
        let all = fits(&machine, Some(0.5));
        let of = |billions: f64, kind: &str| {
            all.iter().find(|f| f.parameters == billions * 1e9 && f.quantization == kind).unwrap()
        };
        assert_eq!((of(8.0, "int4").fits, of(14.0, "int4").fits), (Some(true), Some(false)));
        assert_eq!(of(8.0, "int8").fits, Some(false));
        // 4.5 GB a token at 45 GB/s, half of it reached.
        assert!((of(8.0, "int4").tokens_per_second - 5.0).abs() < 1e-9);
    }
}
