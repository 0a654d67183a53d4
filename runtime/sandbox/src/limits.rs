/// Resources a confined process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Private writable memory, bytes (`RLIMIT_DATA`). Address space is not
    /// limited: reservations that are never touched cost nothing.
    pub memory_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 512 << 20, descriptors: 512 }
    }
}
