use super::ops::{Call, normed};
use super::{Matrix, ReferenceError};

/// Keys and values of one layer, position by position.
#[derive(Debug, Default)]
pub(super) struct Store {
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

/// Rotates, stores and attends.
pub(super) fn run(call: &Call<'_>, store: &mut Store) -> Result<Matrix, ReferenceError> {
    let qkv = call.value(0)?;
    let inv_freq = call.vector(1)?.ok_or_else(|| call.missing("inv_freq"))?;
    let (q_norm, k_norm) = (call.vector(2)?, call.vector(3)?);
    let (heads, kv_heads, size) = (call.size("heads")?, call.size("kv_heads")?, call.size("head_size")?);
    let (scale, cap, epsilon) = (call.float("scale")?, call.float("softcap")?, call.float("norm_epsilon")?);
    let (window, interleaved) = (call.size("window")?, call.int("interleaved")? != 0);
    let rope_scale = call.float("rope_scale")?;
    let mut out = Matrix { width: heads * size, values: Vec::new() };
    for row in qkv.rows() {
        let position = store.keys.len();
        let turned = |from: usize, count: usize, norm: Option<&Vec<f32>>| -> Vec<f32> {
            let head = |h: usize| {
                let plain = &row[(from + h) * size..][..size];
                let mut head = norm.map_or_else(|| plain.to_vec(), |w| normed(plain, w, epsilon));
                rotate(&mut head, &inv_freq, position, interleaved, rope_scale);
                head
            };
            (0..count).flat_map(head).collect()
        };
        let queries = turned(0, heads, q_norm.as_ref());
        store.keys.push(turned(heads, kv_heads, k_norm.as_ref()));
        store.values.push(row[(heads + kv_heads) * size..].to_vec());
        let first = if window > 0 { (position + 1).saturating_sub(window) } else { 0 };
        for h in 0..heads {
            let at = h / (heads / kv_heads) * size;
            let query = &queries[h * size..][..size];
            let mut weights: Vec<f64> = (first..=position)
                .map(|p| {
                    let key = &store.keys[p][at..][..size];
                    let dot: f64 = query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let score = dot * f64::from(scale);
                    if cap > 0.0 { f64::from(cap) * (score / f64::from(cap)).tanh() } else { score }
                })
                .collect();
            let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            weights.iter_mut().for_each(|w| *w = (*w - most).exp());
            let total: f64 = weights.iter().sum();
            for d in 0..size {
                let mixed: f64 = weights.iter().zip(first..).map(|(w, p)| w * f64::from(store.values[p][at + d])).sum();
                out.values.push((mixed / total) as f32);
            }
        }
    }
    Ok(out)
}

/// Attends within one whole text, before and behind.
pub(super) fn within(call: &Call<'_>) -> Result<Matrix, ReferenceError> {
    let (qk, values, scale) = (call.value(0)?, call.value(1)?, call.float("scale")?);
    let (heads, size) = (call.size("heads")?, call.size("head_size")?);
    let width = heads * size;
    let mut out = Matrix { width, values: Vec::new() };
    for row in qk.rows() {
        for h in 0..heads {
            let query = &row[h * size..][..size];
            let score = |other: &[f32]| -> f64 {
                let key = &other[width + h * size..][..size];
                query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() * f64::from(scale)
            };
            let scores: Vec<f64> = qk.rows().map(score).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            for d in 0..size {
                let mixed: f64 = weights.iter().zip(values.rows()).map(|(w, v)| w * f64::from(v[h * size + d])).sum();
                out.values.push((mixed / total) as f32);
            }
        }
    }
    Ok(out)
}

/// Rotates the first `2 * inv_freq.len()` dimensions of a head.
fn rotate(head: &mut [f32], inv_freq: &[f32], position: usize, interleaved: bool, scale: f32) {
    let pairs = inv_freq.len();
    for (n, frequency) in inv_freq.iter().enumerate() {
        let (a, b) = if interleaved { (2 * n, 2 * n + 1) } else { (n, n + pairs) };
        let (sin, cos) = (position as f32 * frequency).sin_cos();
        let (x, y) = (head[a], head[b]);
        head[a] = (x * cos - y * sin) * scale;
        head[b] = (x * sin + y * cos) * scale;
    }
}
