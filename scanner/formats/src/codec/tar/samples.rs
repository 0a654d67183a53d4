//! Tar archives written field by field.

/// A header block with a checksum that fits.
pub(crate) fn header(name: &str, kind: u8, size: u64, link: &str, mode: u32) -> [u8; 512] {
    let mut block = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, &[kind]);
    put(157, &link.as_bytes()[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    sealed(block)
}

/// The block with its checksum written anew.
pub(crate) fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A regular file's header and data.
pub(crate) fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, b'0', content, "")
}

/// Any entry with data.
pub(crate) fn entry(name: &str, kind: u8, content: &[u8], link: &str) -> Vec<u8> {
    let mut out = header(name, kind, content.len() as u64, link, 0o644).to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Entries and the end of the archive.
pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut out = entries.concat();
    out.extend_from_slice(&[0; 1024]);
    out
}

/// One pax record.
pub(crate) fn record(key: &str, value: &str) -> String {
    let body = format!(" {key}={value}\n");
    let mut len = body.len() + 1;
    while format!("{len}{body}").len() != len {
        len += 1;
    }
    format!("{len}{body}")
}

/// A small NeMo checkpoint: something every release recognises as a model.
pub(crate) fn model() -> Vec<u8> {
    archive(&[file("model_config.yaml", b"name: x\n"), file("model_weights.distcp", b"\0\x01\x02 weights")])
}
