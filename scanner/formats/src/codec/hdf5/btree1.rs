//! Version 1 B-trees (section III.A.1): members of old groups, and chunks.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::file::File;
use super::heap::LocalHeap;
use super::link::{Link, Target};
use crate::core::FormatError;

/// Most nodes of one tree.
const NODES_MAX: usize = 1 << 20;
/// Symbol table entry of a soft link: its text lies in the local heap.
const CACHED_SOFT_LINK: u32 = 2;

/// What a tree's leaves are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Symbol table nodes; keys are heap offsets.
    Group,
    /// Chunks of a dataset of this rank, the element size counted as one
    /// dimension more; keys are sizes, masks and offsets.
    Chunks(u8),
}

/// Walks the tree at `root` and hands each leaf to `leaf`: the child's
/// address and a cursor over its key.
pub(super) fn walk(
    file: &File,
    root: u64,
    keys: Keys,
    mut leaf: impl FnMut(u64, Cursor<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let sizes = file.sizes();
    let key_bytes = match keys {
        Keys::Group => usize::from(sizes.length),
        Keys::Chunks(rank) => 8 + 8 * usize::from(rank),
    };
    let mut seen = HashSet::new();
    let mut pending = vec![(root, None)];
    while let Some((address, above)) = pending.pop() {
        if !seen.insert(address) {
            return Err(FormatError::malformed("b-tree node", file.offset(address), "reached twice"));
        }
        if seen.len() + pending.len() > NODES_MAX {
            return Err(FormatError::limit("hdf5_btree_nodes_max", NODES_MAX as u64));
        }
        let head = file.block(address, 8 + 2 * u64::from(sizes.offset), "b-tree node")?;
        let mut c = head.cursor();
        c.signature(b"TREE")?;
        let at = c.position();
        let kind = c.u8("b-tree node type")?;
        if kind != u8::from(keys != Keys::Group) {
            return Err(FormatError::malformed("b-tree node type", at, "another kind of tree"));
        }
        let level = c.u8("b-tree node level")?;
        if above.is_some_and(|above: u8| level >= above) {
            return Err(FormatError::malformed("b-tree node level", at, "not below its parent"));
        }
        let entries = usize::from(c.u16("b-tree entries used")?);
        let len = entries * (key_bytes + usize::from(sizes.offset));
        let body = file.block(address + head.bytes.len() as u64, len as u64, "b-tree entries")?;
        let mut c = body.cursor();
        let mut below = Vec::new();
        for _ in 0..entries {
            let key = c.clone();
            c.skip(key_bytes, "b-tree key")?;
            let child = c.defined("b-tree child")?;
            if level == 0 {
                leaf(child, key)?;
            } else {
                below.push((child, Some(level)));
            }
        }
        pending.extend(below.into_iter().rev());
    }
    Ok(())
}

/// Members of the old-style group with this tree and local heap.
pub(super) fn members(
    file: &File,
    tree: u64,
    heap: u64,
    mut found: impl FnMut(Link) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let heap = LocalHeap::read(file, heap)?;
    let sizes = file.sizes();
    let entry_bytes = 2 * u64::from(sizes.offset) + 24;
    walk(file, tree, Keys::Group, |address, _| {
        let head = file.block(address, 8, "symbol table node")?;
        let mut c = head.cursor();
        c.signature(b"SNOD")?;
        c.skip(2, "symbol table node version")?;
        let symbols = u64::from(c.u16("symbol count")?);
        let body = file.block(address + 8, symbols * entry_bytes, "symbol table entries")?;
        let mut c = body.cursor();
        for _ in 0..symbols {
            let name = c.uint(sizes.offset, "link name offset")?;
            let object = c.address("object header address")?;
            let cached = c.u32("cache type")?;
            c.skip(4, "reserved")?;
            let mut scratch = Cursor::new(c.take(16, "scratch-pad space")?, c.position(), sizes);
            let name = heap.text(name, "link name")?;
            let target = match object {
                _ if cached == CACHED_SOFT_LINK => {
                    Target::Soft(heap.text(scratch.u32("soft link offset")?.into(), "soft link value")?)
                }
                Some(address) => Target::Hard(address),
                None => continue,
            };
            found(Link { name, target })?;
        }
        Ok(())
    })
}
