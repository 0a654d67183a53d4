/// Resources a confined process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Private writable memory, bytes (`RLIMIT_DATA`).
    pub memory_bytes: u64,
    /// Address space, bytes (`RLIMIT_AS`); not limited when absent:
    /// reservations that are never touched cost nothing.
    pub address_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads of the user in this confinement (`RLIMIT_NPROC`); none can be
    /// started with 0.
    pub threads: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 512 << 20, address_bytes: None, descriptors: 512, threads: 0 }
    }
}
