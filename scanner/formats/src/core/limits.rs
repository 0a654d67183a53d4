/// Limits of one inspection. Each has a name that findings repeat and
/// `docs/limitations.md` lists.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Containers in containers.
    pub depth_max: u32,
    /// Members inspected in one artifact, over all containers.
    pub members_max: u64,
    /// Bytes unpacked in one artifact, over all containers and passes.
    pub expanded_bytes_max: u64,
    /// Largest unpacked content held in memory; larger is streamed.
    pub memory_bytes_max: usize,
    /// Findings kept for one artifact.
    pub findings_max: usize,
    /// Steps of work (opcodes, nodes, fields) in one artifact.
    pub work_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: 8,
            members_max: 100_000,
            expanded_bytes_max: 16 << 30,
            memory_bytes_max: 8 << 20,
            findings_max: 500,
            work_max: 50_000_000,
        }
    }
}

/// What to look for and how far to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Look at tensor bytes too.
    pub deep: bool,
    /// Bounds.
    pub limits: Limits,
}
