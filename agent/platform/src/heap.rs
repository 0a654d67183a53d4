//! What the allocator keeps of freed memory.

/// Gives freed memory back to the system: a process that needed much once and
/// lives on with little, as one that has loaded a model. Costs milliseconds.
/// Does nothing where the allocator is not GNU's.
pub fn give_back() {
    // SAFETY: malloc_trim(3) takes a number and is safe to call from any thread;
    // it touches free memory only.
    #[cfg(target_env = "gnu")]
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn freed_memory_goes_back() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|l| l.starts_with("RssAnon")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        // Pieces below the size that is mapped by itself; the last one holds the
        // heap's end in its place.
        let mut pieces: Vec<Vec<u8>> = (0..1000).map(|_| vec![1; 64 << 10]).collect();
        let held = pieces.pop();
        drop(pieces);
        let before = resident();
        super::give_back();
        let after = resident();
        assert!(after + (40 << 10) < before, "{before} KiB before, {after} KiB after");
        drop(held);
    }
}
