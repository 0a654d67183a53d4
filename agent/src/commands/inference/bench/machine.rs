use serde::Serialize;
use std::time::{Duration, Instant};

use weighbridge_kernels::{Isa, Memory, Pool, read};

use crate::exit::Failure;

/// Memory that is read: more than caches hold.
const BYTES: usize = 512 << 20;
/// How long it is read at a time.
const LEAST: Duration = Duration::from_millis(400);

/// What there is to compute with.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Threads that compute.
    pub threads: usize,
    /// Instruction set that the kernels use here.
    pub instructions: &'static str,
    /// Fastest that all threads together read memory, bytes per second.
    pub read_bytes_per_second: f64,
    /// Memory that can be had without swapping, bytes.
    pub available_bytes: Option<u64>,
}

impl Machine {
    pub fn measure(threads: usize) -> Result<Self, Failure> {
        let mut machine = Self {
            threads,
            instructions: Isa::detect().name(),
            read_bytes_per_second: 0.0,
            available_bytes: weighbridge_runtime::available(),
        };
        machine.look_again()?;
        Ok(machine)
    }

    /// Measures memory once more: neighbours use it, too, and the limit of a
    /// measurement is what could be had while it was made.
    pub fn look_again(&mut self) -> Result<(), Failure> {
        let failure = |e| Failure::Usage(format!("memory cannot be measured: {e}"));
        let mut memory = Memory::zeroed(BYTES).map_err(failure)?;
        memory.as_mut_slice().fill(1);
        let pool = Pool::new(self.threads).map_err(failure)?;
        let (isa, begun) = (Isa::detect(), Instant::now());
        while begun.elapsed() < LEAST {
            let once = Instant::now();
            std::hint::black_box(read(&pool, isa, memory.as_slice()));
            #[expect(clippy::cast_precision_loss, reason = "a measurement")]
            let speed = BYTES as f64 / once.elapsed().as_secs_f64();
            self.read_bytes_per_second = self.read_bytes_per_second.max(speed);
        }
        Ok(())
    }
}
