//! What fits.

use super::LoadError;

/// Beside weights, keys and values: activations, tokenizer, library.
const MARGIN_BYTES: u64 = 384 << 20;

/// What a model takes at most, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Its files.
    pub weights: u64,
    /// Keys and values.
    pub cache: u64,
    /// Beside those.
    pub margin: u64,
}

impl Need {
    /// Of a model whose files have `weights` bytes; ONNX Runtime packs weights
    /// that were not `imported` once more.
    pub fn of(weights: u64, cache: u64, imported: bool) -> Self {
        Self { weights, cache, margin: MARGIN_BYTES.saturating_add(if imported { 0 } else { weights }) }
    }

    /// All of it.
    pub fn bytes(self) -> u64 {
        self.weights.saturating_add(self.cache).saturating_add(self.margin)
    }

    /// Holds it against what is `available`, less what is `promised` to others.
    pub fn admit(self, model: &str, available: u64, promised: u64) -> Result<(), LoadError> {
        let available = available.saturating_sub(promised);
        if self.bytes() <= available {
            return Ok(());
        }
        let Self { weights, cache, margin } = self;
        Err(LoadError::Memory { model: model.to_owned(), needed: self.bytes(), weights, cache, margin, available })
    }
}

/// Memory that can be had without swapping, bytes (proc_meminfo(5)); `None`
/// where the system does not tell.
pub fn available() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Resident memory of a process: all of it, and the part that is its own
/// (proc_pid_status(5)).
pub fn resident(id: u32) -> Option<u64> {
    field(&std::fs::read_to_string(format!("/proc/{id}/status")).ok()?, "VmRSS:")
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_numbers() {
        let need = Need::of(4 << 30, 1 << 30, true);
        assert!(need.admit("big", 8 << 30, 0).is_ok());
        assert!(need.admit("big", 8 << 30, 2 << 30).is_ok());
        let refused = need.admit("big", 8 << 30, 3 << 30).unwrap_err().to_string();
        assert!(refused.contains("needs 5504 MiB (4096 weights, 1024 keys and values, 384 to compute)"), "{refused}");
        assert!(refused.contains("and 5120 MiB are available"), "{refused}");
        assert!(Need::of(u64::MAX, u64::MAX, false).admit("absurd", u64::MAX - 1, 0).is_err());
    }

    #[test]
    fn fields_are_read_or_not() {
        assert_eq!(field("MemFree: 1 kB\nMemAvailable:     20 kB\n", "MemAvailable:"), Some(20480));
        for odd in ["", "MemAvailable: x kB", "MemAvailable: 5", "MemAvailable: 99999999999999999999 kB"] {
            assert_eq!(field(odd, "MemAvailable:"), None, "{odd}");
        }
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 1 << 16));
    }
}
