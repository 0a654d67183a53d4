use weighbridge_inference_wire::{Open, PartRole};
use weighbridge_sandbox::Limits;

/// Private memory beside weights, keys and values: activations, logits of all
/// sequences, tokenizer, grammars, the library itself.
const MARGIN_BYTES: u64 = 2 << 30;
/// Address space of a thread: its stack and an arena of the allocator.
const THREAD_BYTES: u64 = 144 << 20;
/// Threads beside those that compute: the main thread, reader, writer,
/// tokenizer, and a margin.
const THREADS: u64 = 16;
/// Descriptors beside the parts.
const DESCRIPTORS: u64 = 16;
/// Most threads that compute.
const COMPUTE_THREADS_MAX: usize = 256;
/// Assumed where /proc does not tell.
const OWN_ADDRESSES: u64 = 1 << 30;

/// What a worker for `open` may use. Call it before confining.
pub fn of(open: &Open) -> Limits {
    let weights: u64 = open.parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size_bytes));
    let imported = open.parts.iter().any(|p| p.role == PartRole::Manifest);
    // Imported weights stay where they lie; of others ONNX Runtime makes its
    // own copies, packed and unpacked.
    let copies = if imported { 0 } else { weights.saturating_mul(2) };
    let memory_bytes = open.cache_bytes.saturating_add(copies).saturating_add(MARGIN_BYTES);
    let threads = u64::try_from(open.threads.min(COMPUTE_THREADS_MAX)).unwrap_or(u64::MAX).saturating_add(THREADS);
    let address_bytes = [own_addresses(), weights, memory_bytes, threads.saturating_mul(THREAD_BYTES)];
    Limits {
        memory_bytes,
        address_bytes: Some(address_bytes.into_iter().fold(0, u64::saturating_add)),
        descriptors: DESCRIPTORS + u64::try_from(open.parts.len()).unwrap_or(u64::MAX),
        threads,
    }
}

/// Address space taken already, the library included (proc_pid_status(5)).
fn own_addresses() -> u64 {
    let kilobytes = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
        size.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    kilobytes().map_or(OWN_ADDRESSES, |n| n.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weighbridge_inference_wire::Part;

    fn open(roles: &[PartRole], size_bytes: u64) -> Open {
        let part = |role: &PartRole| Part { role: *role, name: String::new(), size_bytes };
        let parts = roles.iter().map(part).collect();
        Open {
            version: 1,
            name: String::new(),
            parts,
            to_come: 0,
            threads: 2,
            cache_bytes: 1 << 30,
            context_length: None,
        }
    }

    #[test]
    fn imported_weights_are_not_copied_and_others_may_be() {
        let imported = of(&open(&[PartRole::Manifest, PartRole::Data], 5 << 30));
        assert_eq!(imported.memory_bytes, 3 << 30);
        assert!(imported.address_bytes.unwrap() > 13 << 30);
        assert_eq!(of(&open(&[PartRole::Data], 5 << 30)).memory_bytes, 13 << 30);
    }

    #[test]
    fn absurd_sizes_do_not_wrap() {
        assert_eq!(of(&open(&[PartRole::Data; 3], u64::MAX)).address_bytes, Some(u64::MAX));
    }
}
