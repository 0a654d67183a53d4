//! Rotary position embeddings and the ways to stretch them.
#![expect(clippy::cast_precision_loss, reason = "dimensions are small")]

use std::f64::consts::TAU;

use crate::ImportError;
use crate::model::float;

/// Frequencies of one kind of rotation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rope {
    /// One per pair of dimensions; dimensions beyond are not rotated.
    pub(crate) inv_freq: Vec<f32>,
    /// Factor of sine and cosine.
    pub(crate) scale: f32,
}

/// How frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scaling {
    None,
    Linear {
        factor: f64,
    },
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    Yarn {
        factor: f64,
        original: f64,
        beta_fast: f64,
        beta_slow: f64,
        attention: Option<f64>,
        truncate: bool,
    },
    /// A divisor per pair, and the factor of sine and cosine.
    Divisors {
        divisors: Vec<f32>,
        attention: f64,
    },
}

impl Rope {
    /// Frequencies of `dimensions` rotated dimensions.
    ///
    /// # Errors
    /// Numbers that no model has.
    pub(crate) fn new(base: f64, dimensions: usize, scaling: &Scaling) -> Result<Self, ImportError> {
        if dimensions == 0 || !dimensions.is_multiple_of(2) {
            let reason = format!("is {dimensions}; expected a positive even number");
            return Err(ImportError::configuration("rotated dimensions", reason));
        }
        float("rope base", base, 1.0, 1e15)?;
        scaling.check(dimensions)?;
        let half = dimensions / 2;
        let plain = |pair: usize| base.powf(-2.0 * pair as f64 / dimensions as f64);
        let stretched = |pair: usize| -> f64 {
            let plain = plain(pair);
            match scaling {
                Scaling::None => plain,
                Scaling::Linear { factor } => plain / factor,
                Scaling::Llama3 { factor, low, high, original } => {
                    let turns = original * plain / TAU;
                    let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - smooth) * plain / factor + smooth * plain
                }
                Scaling::Yarn { factor, original, beta_fast, beta_slow, truncate, .. } => {
                    let dimension =
                        |turns: f64| dimensions as f64 * (original / (turns * TAU)).ln() / (2.0 * base.ln());
                    let (mut first, mut last) = (dimension(*beta_fast), dimension(*beta_slow));
                    if *truncate {
                        (first, last) = (first.floor(), last.ceil());
                    }
                    let first = first.max(0.0);
                    let last = last.min(dimensions as f64 - 1.0);
                    let ramp = ((pair as f64 - first) / (last - first).max(0.001)).clamp(0.0, 1.0);
                    ramp * plain / factor + (1.0 - ramp) * plain
                }
                Scaling::Divisors { divisors, .. } => plain / f64::from(divisors.get(pair).copied().unwrap_or(1.0)),
            }
        };
        let inv_freq: Result<Vec<f32>, _> =
            (0..half).map(|pair| float("rope frequency", stretched(pair), 0.0, 1e6)).collect();
        let scale = match scaling {
            Scaling::Yarn { factor, attention, .. } => attention.unwrap_or_else(|| 0.1 * factor.ln() + 1.0),
            Scaling::Divisors { attention, .. } => *attention,
            _ => 1.0,
        };
        Ok(Self { inv_freq: inv_freq?, scale: float("rope attention factor", scale, 1e-3, 1e3)? })
    }
}

impl Scaling {
    fn check(&self, dimensions: usize) -> Result<(), ImportError> {
        let factor = |f: f64| float("rope scaling factor", f, 1e-3, 1e6);
        let length = |n: f64| float("original context length", n, 1.0, 1e9);
        match self {
            Self::None => {}
            Self::Linear { factor: f } => {
                factor(*f)?;
            }
            Self::Llama3 { factor: f, low, high, original } => {
                factor(*f)?;
                length(*original)?;
                float("low frequency factor", *low, 1e-6, 1e6)?;
                float("high frequency factor", *high, low + 1e-6, 1e6)?;
            }
            Self::Yarn { factor: f, original, beta_fast, beta_slow, .. } => {
                factor(*f)?;
                length(*original)?;
                float("slow beta", *beta_slow, 1e-6, 1e6)?;
                float("fast beta", *beta_fast, *beta_slow, 1e6)?;
            }
            Self::Divisors { divisors, .. } => {
                if divisors.len() != dimensions / 2 {
                    let reason = format!("has {} entries; expected {}", divisors.len(), dimensions / 2);
                    return Err(ImportError::configuration("rope factors", reason));
                }
                for d in divisors {
                    float("rope factors", f64::from(*d), 1e-3, 1e6)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_frequencies_fall_from_one() {
        let rope = Rope::new(10_000.0, 4, &Scaling::None).unwrap();
        assert_eq!(rope.inv_freq, [1.0, 0.01]);
    }

    #[test]
    fn llama3_leaves_high_frequencies_and_divides_low_ones() {
        let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let plain = Rope::new(500_000.0, 128, &Scaling::None).unwrap();
        let rope = Rope::new(500_000.0, 128, &scaling).unwrap();
        assert_eq!(rope.inv_freq[0], plain.inv_freq[0]);
        assert!((rope.inv_freq[63] * 8.0 / plain.inv_freq[63] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn numbers_no_model_has_are_refused() {
        for (base, dimensions, scaling) in [
            (f64::NAN, 4, Scaling::None),
            (0.0, 4, Scaling::None),
            (1e4, 3, Scaling::None),
            (1e4, 4, Scaling::Linear { factor: 0.0 }),
            (1e4, 4, Scaling::Divisors { divisors: vec![1.0], attention: 1.0 }),
            (1e4, 4, Scaling::Divisors { divisors: vec![0.0, 1.0], attention: 1.0 }),
            (1e4, 4, Scaling::Divisors { divisors: vec![1.0, 1.0], attention: f64::INFINITY }),
        ] {
            assert!(Rope::new(base, dimensions, &scaling).is_err(), "{base} {dimensions} {scaling:?}");
        }
    }
}
