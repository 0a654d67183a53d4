//! Measures the kernels: bytes of weights per second beside a plain read of
//! the same memory, products per second, attention, and whole passes over the
//! shapes of known models.
//!
//! `kernel-bench [threads] [isa] [megabytes]`: by default what the machine has
//! and matrices of 256 MB, far more than caches hold.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use weighbridge_kernels::{
    Activation, AttentionShape, Finish, Isa, KernelError, Layout, Memory, PAGE_TOKENS, PageStore, Pool, Scratch,
    Segment, StoreShape, Weights, attention, gated_feed_forward, matmul, read,
};

const INPUTS: usize = 4096;
/// How long one measurement lasts at least.
const LEAST: Duration = Duration::from_millis(400);

fn main() -> Result<(), KernelError> {
    let mut arguments = std::env::args().skip(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(cores);
    let isa = arguments.next().and_then(|a| Isa::by_name(&a)).unwrap_or_else(Isa::detect);
    let bytes = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(256usize).saturating_mul(1 << 20);
    let bench = Bench { pool: Pool::new(threads)?, isa };
    println!("{threads} threads, {}", isa.name());
    bench.products(bytes)?;
    bench.attention()?;
    bench.model("0.5B", &Shapes { width: 896, layers: 24, inner: 4864, qkv: 1152, vocabulary: 151_936 })?;
    bench.model("1.5B", &Shapes { width: 1536, layers: 28, inner: 8960, qkv: 2048, vocabulary: 151_936 })
}

struct Bench {
    pool: Pool,
    isa: Isa,
}

struct Shapes {
    width: usize,
    layers: usize,
    inner: usize,
    qkv: usize,
    vocabulary: usize,
}

/// Fastest run in seconds.
fn fastest(mut run: impl FnMut() -> Result<(), KernelError>) -> Result<f64, KernelError> {
    run()?;
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while begin.elapsed() < LEAST {
        let one = Instant::now();
        run()?;
        best = best.min(one.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Weights of any value with scales that are numbers.
fn fill(layout: Layout, bytes: &mut [u8]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = (i.wrapping_mul(0x9e37_79b9) >> 11).to_le_bytes().first().copied().unwrap_or(0);
    }
    let scales = match layout {
        Layout::Q4 | Layout::Q4A => 256,
        Layout::Q8 | Layout::Q8H => 512,
        Layout::F16 => 0,
    };
    for block in bytes.chunks_exact_mut(layout.block_bytes()) {
        for scale in block.get_mut(scales..).into_iter().flat_map(|s| s.chunks_exact_mut(4)) {
            scale.copy_from_slice(&[0, 0x1c, 0, 0x1c]);
        }
    }
}

impl Bench {
    fn products(&self, bytes: usize) -> Result<(), KernelError> {
        println!("layout    M   GB/s  of read   GMAC/s");
        let mut scratch = Scratch::default();
        for layout in Layout::ALL {
            let rows = bytes / layout.group_bytes(INPUTS)? * 16;
            let mut memory = Memory::zeroed(layout.packed_bytes(rows, INPUTS)?)?;
            fill(layout, memory.as_mut_slice());
            let bytes = memory.as_slice();
            let weights = Weights { layout, rows, inputs: INPUTS, bytes };
            for m in [1usize, 4, 8, 16, 128] {
                let x: Vec<f32> = (0..m * INPUTS).map(|i| (i % 17) as f32 - 8.0).collect();
                let mut out = vec![0f32; m * rows];
                let plain = fastest(|| {
                    black_box(read(&self.pool, self.isa, bytes));
                    Ok(())
                })?;
                let time =
                    fastest(|| matmul(&self.pool, self.isa, weights, &x, Finish::default(), &mut out, &mut scratch))?;
                let (size, products) = (bytes.len() as f64, (m * rows * INPUTS) as f64);
                println!(
                    "{:6} {m:4} {:6.1} {:7.0}% {:8.0}",
                    layout.name(),
                    size / time / 1e9,
                    plain / time * 100.0,
                    products / time / 1e9
                );
            }
        }
        Ok(())
    }

    /// One layer: a prefill of so many tokens, then one token after them.
    fn attention(&self) -> Result<(), KernelError> {
        println!(
            "attention, 14 heads of 64 on 2 / 32 heads of 128 on 8: prefill GMAC/s, one token's keys and values GB/s"
        );
        let mut scratch = Scratch::default();
        for tokens in [128usize, 1024, 4096] {
            print!("{tokens:5} tokens");
            for (heads, kv_heads, head_size) in [(14, 2, 64), (32, 8, 128)] {
                let pages: Vec<u32> = (0..=tokens / PAGE_TOKENS).filter_map(|p| p.try_into().ok()).collect();
                let mut store = PageStore::new(StoreShape { layers: 1, kv_heads, head_size, pages: pages.len() })?;
                let inv_freq: Vec<f32> =
                    (0..head_size / 2).map(|i| 1e6f32.powf(-(i as f32) * 2.0 / head_size as f32)).collect();
                let shape = AttentionShape {
                    heads,
                    kv_heads,
                    head_size,
                    inv_freq: &inv_freq,
                    interleaved: false,
                    rope_scale: 1.0,
                    q_norm: None,
                    k_norm: None,
                    norm_epsilon: 1e-6,
                    scale: 1.0 / (head_size as f32).sqrt(),
                    window: 0,
                    softcap: 0.0,
                };
                let qkv: Vec<f32> =
                    (0..tokens * (heads + 2 * kv_heads) * head_size).map(|i| (i % 23) as f32 / 11.0 - 1.0).collect();
                let mut out = vec![0f32; tokens * heads * head_size];
                let whole = [Segment { first_row: 0, rows: tokens, past: 0, pages: &pages }];
                let prefill = fastest(|| {
                    attention(&self.pool, self.isa, &shape, &mut store, 0, &whole, &qkv, &mut out, &mut scratch)
                })?;
                let next = [Segment { first_row: 0, rows: 1, past: tokens, pages: &pages }];
                let (qkv, out) = (qkv.get(..(heads + 2 * kv_heads) * head_size), out.get_mut(..heads * head_size));
                let (qkv, out) = (qkv.unwrap_or_default(), out.unwrap_or_default());
                let decode =
                    fastest(|| attention(&self.pool, self.isa, &shape, &mut store, 0, &next, qkv, out, &mut scratch))?;
                let products = (tokens * (tokens + 1) * heads * head_size) as f64;
                let read = (tokens * kv_heads * head_size * 4) as f64;
                print!(
                    " | {:7.2} ms {:5.0} GMAC/s, {:6.1} us {:5.1} GB/s",
                    prefill * 1e3,
                    products / prefill / 1e9,
                    decode * 1e6,
                    read / decode / 1e9
                );
            }
            println!();
        }
        Ok(())
    }

    /// One step's products of a model in `q4`: what a token costs without
    /// attention.
    fn model(&self, name: &str, shapes: &Shapes) -> Result<(), KernelError> {
        let &Shapes { width, layers, inner, qkv, vocabulary } = shapes;
        let layout = Layout::Q4;
        let sizes = [(qkv, width), (width, width), (2 * inner, width), (width, inner)];
        let mut bytes = layout.packed_bytes(vocabulary, width)?;
        for (rows, inputs) in sizes {
            bytes += layers * layout.packed_bytes(rows, inputs)?;
        }
        let mut memory = Memory::zeroed(bytes)?;
        fill(layout, memory.as_mut_slice());
        let memory = memory.as_slice();
        let mut scratch = Scratch::default();
        let plain = fastest(|| {
            black_box(read(&self.pool, self.isa, memory));
            Ok(())
        })?;
        println!(
            "{name}: {:.0} MB, plain read {:.2} ms ({:.1} GB/s)",
            bytes as f64 / 1e6,
            plain * 1e3,
            bytes as f64 / plain / 1e9
        );
        for m in [1usize, 4, 8, 128, 512] {
            let x: Vec<f32> = (0..m * inner).map(|i| (i % 17) as f32 - 8.0).collect();
            let mut out = vec![0f32; (m * 2 * inner).max(m.min(8) * vocabulary)];
            let time = fastest(|| {
                let mut rest = memory;
                let mut take = |rows: usize, inputs: usize| -> Result<_, KernelError> {
                    let (bytes, after) = rest.split_at(layout.packed_bytes(rows, inputs)?);
                    rest = after;
                    Ok(Weights { layout, rows, inputs, bytes })
                };
                for _ in 0..layers {
                    for (i, (rows, inputs)) in sizes.into_iter().enumerate() {
                        let mut weights = take(rows, inputs)?;
                        let x = x.get(..m * inputs).unwrap_or_default();
                        if i == 2 {
                            weights.rows /= 2;
                            let out = out.get_mut(..m * inner).unwrap_or_default();
                            gated_feed_forward(&self.pool, self.isa, weights, Activation::Silu, x, out, &mut scratch)?;
                        } else {
                            let out = out.get_mut(..m * rows).unwrap_or_default();
                            matmul(&self.pool, self.isa, weights, x, Finish::default(), out, &mut scratch)?;
                        }
                    }
                }
                // Logits of one token per sequence of a prefill.
                let heads = if m > 8 { 1 } else { m };
                let (x, out) =
                    (x.get(..heads * width).unwrap_or_default(), out.get_mut(..heads * vocabulary).unwrap_or_default());
                matmul(&self.pool, self.isa, take(vocabulary, width)?, x, Finish::default(), out, &mut scratch)
            })?;
            println!(
                "{name} M={m:3} {:8.2} ms {:8.1} tokens/s {:5.0}% of read",
                time * 1e3,
                m as f64 / time,
                plain / time * 100.0
            );
        }
        Ok(())
    }
}
