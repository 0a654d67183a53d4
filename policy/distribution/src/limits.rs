/// What an endpoint accepts at most; [`publish`](crate::publish) holds itself to the
/// same. tough bounds what nobody has signed; these hold for signed lengths too,
/// since a stolen timestamp key signs lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest `N.root.json`; one with eight keys a role is 12 KiB.
    pub root_bytes: u64,
    /// Versions of the root taken in one update; a rotation a week for five years.
    pub root_updates: u64,
    /// Longest `timestamp.json`; ours are under 1 KiB.
    pub timestamp_bytes: u64,
    /// Longest `N.snapshot.json`; ours are under 1 KiB.
    pub snapshot_bytes: u64,
    /// Longest `N.targets.json`; about 300 bytes a file.
    pub targets_bytes: u64,
    /// Files in a bundle.
    pub targets: u64,
    /// Longest file of a bundle.
    pub target_bytes: u64,
    /// All files of a bundle.
    pub bundle_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root_bytes: 512 << 10,
            root_updates: 256,
            timestamp_bytes: 64 << 10,
            snapshot_bytes: 64 << 10,
            targets_bytes: 4 << 20,
            targets: 4096,
            target_bytes: 16 << 20,
            bundle_bytes: 64 << 20,
        }
    }
}

/// Highest version of a role: what every JSON reader can count to. One that
/// comes near it was thrown forward by a thief (TUF, "fast-forward").
pub const VERSION_MAX: u64 = (1 << 53) - 1;
