//! Messages stored once and referred to: committed datatypes and the shared
//! object header message table (sections III.G and IV.A.2.p).

use super::cursor::Cursor;
use super::file::File;
use super::fractal_heap::FractalHeap;
use super::header::{self, Message, kind};
use crate::core::FormatError;

/// Most indexes of shared messages (`H5O_SHMESG_MAX_NINDEXES`).
const INDEXES_MAX: u8 = 8;

/// One index of the shared message table.
#[derive(Debug)]
pub(super) struct SharedIndex {
    /// Bit *n* is set if messages of type *n* are kept here.
    kinds: u16,
    heap: Option<u64>,
}

/// `message` itself, or the one it refers to.
pub(super) fn resolve(file: &File, message: Message) -> Result<Message, FormatError> {
    if !message.shared {
        return Ok(message);
    }
    let mut c = Cursor::new(&message.body, message.base, file.sizes());
    let version = c.version(3, "shared message version")?;
    let place = c.u8("shared message type")?;
    if version == 1 {
        c.skip(6, "reserved")?;
    }
    if version == 3 && place == 1 {
        return from_heap(file, &message, c.take(8, "shared message heap id")?);
    }
    let address = c.defined("shared message address")?;
    let (messages, _) = header::read(file, address)?;
    messages
        .into_iter()
        .find(|m| m.kind == message.kind && !m.shared)
        .ok_or_else(|| FormatError::malformed("shared message", message.base, "the object it names has none"))
}

fn from_heap(file: &File, message: &Message, id: &[u8]) -> Result<Message, FormatError> {
    if file.shared.get().is_none() {
        let indexes = read_table(file)?;
        let _ = file.shared.set(indexes);
    }
    let heap = file
        .shared
        .get()
        .and_then(|indexes| indexes.iter().find(|i| i.kinds.checked_shr(message.kind.into()).unwrap_or(0) & 1 == 1))
        .and_then(|index| index.heap)
        .ok_or_else(|| FormatError::malformed("shared message", message.base, "no heap keeps messages of its type"))?;
    let body = FractalHeap::read(file, heap)?.object(id)?;
    Ok(Message { kind: message.kind, shared: false, body, base: message.base })
}

fn read_table(file: &File) -> Result<Vec<SharedIndex>, FormatError> {
    let Some(extension) = file.superblock.extension else { return Ok(Vec::new()) };
    let (messages, _) = header::read(file, extension)?;
    let Some(table) = messages.iter().find(|m| m.kind == kind::SHARED_TABLE) else { return Ok(Vec::new()) };
    let mut c = Cursor::new(&table.body, table.base, file.sizes());
    c.version(0, "shared message table version")?;
    let address = c.defined("shared message table address")?;
    let indexes = c.u8("shared message index count")?.min(INDEXES_MAX);
    let sizes = file.sizes();
    let len = 4 + u64::from(indexes) * (14 + 2 * u64::from(sizes.offset));
    let block = file.block(address, len, "shared message table")?;
    let mut c = block.cursor();
    c.signature(b"SMTB")?;
    let mut out = Vec::new();
    for _ in 0..indexes {
        c.skip(2, "index version and type")?;
        let kinds = c.u16("message type flags")?;
        c.skip(10, "message sizes and counts")?;
        c.address("index address")?;
        out.push(SharedIndex { kinds, heap: c.address("message heap address")? });
    }
    Ok(out)
}
