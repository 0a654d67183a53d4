//! Version 2 B-trees (section III.A.2).

use std::collections::HashSet;

use super::cursor::{Cursor, width_for};
use super::file::File;
use crate::core::FormatError;

/// Largest node that is read.
const NODE_BYTES_MAX: u32 = 16 << 20;
/// Deepest tree; each level multiplies the records at least by two.
const DEPTH_MAX: u16 = 32;
/// Most nodes of one tree.
const NODES_MAX: usize = 1 << 20;
/// Bytes of a node besides records and pointers: signature, version, type and
/// checksum.
const NODE_OVERHEAD_BYTES: u64 = 10;

/// Record types (section III.A.2).
pub(super) mod record {
    pub const HUGE_INDIRECT: u8 = 1;
    pub const LINK_NAME: u8 = 5;
    pub const LINK_ORDER: u8 = 6;
    pub const ATTRIBUTE_NAME: u8 = 8;
    pub const ATTRIBUTE_ORDER: u8 = 9;
    pub const CHUNK: u8 = 10;
    pub const FILTERED_CHUNK: u8 = 11;
}

/// Hands every record of the tree at `address` to `each`, with its type.
pub(super) fn records(
    file: &File,
    address: u64,
    mut each: impl FnMut(u8, Cursor<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let sizes = file.sizes();
    let len = 18 + u64::from(sizes.offset) + u64::from(sizes.length);
    let block = file.block(address, len, "b-tree header")?;
    let mut c = block.cursor();
    c.signature(b"BTHD")?;
    c.version(0, "b-tree version")?;
    let kind = c.u8("b-tree type")?;
    let at = c.position();
    let node_bytes = c.u32("b-tree node size")?;
    let record_bytes = c.u16("b-tree record size")?;
    let depth = c.u16("b-tree depth")?;
    c.skip(2, "b-tree split and merge percent")?;
    let root = c.address("b-tree root")?;
    let root_records = c.u16("b-tree records in root")?;
    let Some(root) = root else { return Ok(()) };
    if record_bytes == 0 || node_bytes > NODE_BYTES_MAX || depth > DEPTH_MAX {
        return Err(FormatError::malformed("b-tree node size", at, "sizes no writer chooses"));
    }
    let levels = levels(node_bytes.into(), record_bytes.into(), depth, sizes.offset);
    let mut seen = HashSet::new();
    let mut pending = vec![(root, root_records, depth)];
    while let Some((address, count, level)) = pending.pop() {
        if !seen.insert(address) {
            return Err(FormatError::malformed("b-tree node", file.offset(address), "reached twice"));
        }
        if seen.len() + pending.len() > NODES_MAX {
            return Err(FormatError::limit("hdf5_btree_nodes_max", NODES_MAX as u64));
        }
        let block = file.block_up_to(address, node_bytes.into(), "b-tree node")?;
        let mut c = block.cursor();
        c.signature(if level > 0 { b"BTIN" } else { b"BTLF" })?;
        c.skip(2, "b-tree node version and type")?;
        for _ in 0..count {
            let base = c.position();
            each(kind, Cursor::new(c.take(record_bytes.into(), "b-tree record")?, base, sizes))?;
        }
        let Some(below) = level.checked_sub(1) else { continue };
        let Some(widths) = levels.get(usize::from(below)) else { continue };
        for _ in 0..=count {
            let child = c.defined("b-tree child")?;
            let records = c.uint(widths.records, "b-tree child records")?;
            c.skip(widths.total.into(), "b-tree child total")?;
            pending.push((child, u16::try_from(records).unwrap_or(u16::MAX), below));
        }
    }
    Ok(())
}

/// How a pointer to a node of one level is stored.
struct Level {
    /// Width of its record count.
    records: u8,
    /// Width of the count of all records below it; none for leaves.
    total: u8,
}

/// Pointer widths for each level from the leaves up, as `H5B2__hdr_init`
/// computes them.
fn levels(node_bytes: u64, record_bytes: u64, depth: u16, offset_width: u8) -> Vec<Level> {
    let room = node_bytes.saturating_sub(NODE_OVERHEAD_BYTES);
    let leaf_max = room / record_bytes.max(1);
    let records = width_for(leaf_max);
    let mut total_max = leaf_max;
    let mut out = vec![Level { records, total: 0 }];
    for _ in 1..depth {
        let below = out.last().map_or(0, |l| l.total);
        let pointer = u64::from(offset_width) + u64::from(records) + u64::from(below);
        let max = room.saturating_sub(pointer) / (record_bytes + pointer);
        total_max = max.saturating_add(1).saturating_mul(total_max).saturating_add(max);
        out.push(Level { records, total: width_for(total_max) });
    }
    out
}
