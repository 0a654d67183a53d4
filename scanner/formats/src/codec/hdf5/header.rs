use std::collections::{HashSet, VecDeque};

use super::cursor::Cursor;
use super::file::File;
use crate::core::FormatError;

/// Most messages in one object header; 8 bytes each at least.
const MESSAGES_MAX: usize = 65_536;
/// Most bytes of one object header, continuations included.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// First read of a header; most fit.
const PREFIX_BYTES: u64 = 64;

/// Message types (section IV.A.2).
pub(super) mod kind {
    pub const DATASPACE: u16 = 0x01;
    pub const LINK_INFO: u16 = 0x02;
    pub const DATATYPE: u16 = 0x03;
    pub const LINK: u16 = 0x06;
    pub const EXTERNAL_FILES: u16 = 0x07;
    pub const LAYOUT: u16 = 0x08;
    pub const FILTERS: u16 = 0x0b;
    pub const ATTRIBUTE: u16 = 0x0c;
    pub const SHARED_TABLE: u16 = 0x0f;
    pub const CONTINUATION: u16 = 0x10;
    pub const SYMBOL_TABLE: u16 = 0x11;
    pub const ATTRIBUTE_INFO: u16 = 0x15;
}

/// One message of an object header.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub kind: u16,
    /// The body is a reference to a message stored elsewhere.
    pub shared: bool,
    pub body: Vec<u8>,
    /// Where the body starts in the file.
    pub base: u64,
}

/// The messages of the object header at `address`, and why reading stopped
/// before its end, if it did (section IV.A.1).
pub(super) fn read(file: &File, address: u64) -> Result<(Vec<Message>, Option<FormatError>), FormatError> {
    let prefix = file.block_up_to(address, PREFIX_BYTES, "object header")?;
    let mut header = Header { file, messages: Vec::new(), pending: VecDeque::new(), seen: HashSet::new(), bytes: 0 };
    let stopped = if prefix.bytes.starts_with(b"OHDR") {
        header.version2(address, prefix.cursor())
    } else {
        header.version1(address, prefix.cursor())
    };
    match stopped {
        Err(error) if header.messages.is_empty() => Err(error),
        stopped => Ok((header.messages, stopped.err())),
    }
}

struct Header<'f> {
    file: &'f File,
    messages: Vec<Message>,
    /// Continuation blocks not read yet: address and length.
    pending: VecDeque<(u64, u64)>,
    seen: HashSet<u64>,
    bytes: u64,
}

impl Header<'_> {
    fn version1(&mut self, address: u64, mut c: Cursor<'_>) -> Result<(), FormatError> {
        let at = c.position();
        if c.u8("object header version")? != 1 {
            return Err(FormatError::malformed("object header version", at, "neither 1 nor OHDR"));
        }
        c.skip(7, "message count and references")?;
        let size = u64::from(c.u32("object header size")?);
        self.pending.push_back((address.saturating_add(16), size));
        while let Some((address, len)) = self.pending.pop_front() {
            let block = self.chunk(address, len)?;
            let mut c = block.cursor();
            while c.remaining() >= 8 {
                let kind = c.u16("message type")?;
                let size = c.u16("message size")?;
                let flags = c.u8("message flags")?;
                c.skip(3, "reserved")?;
                self.message(&mut c, kind, size, flags)?;
            }
        }
        Ok(())
    }

    fn version2(&mut self, address: u64, mut c: Cursor<'_>) -> Result<(), FormatError> {
        c.signature(b"OHDR")?;
        let at = c.position();
        if c.u8("object header version")? != 2 {
            return Err(FormatError::malformed("object header version", at, "not 2"));
        }
        let flags = c.u8("object header flags")?;
        if flags & 0x20 != 0 {
            c.skip(16, "times")?;
        }
        if flags & 0x10 != 0 {
            c.skip(4, "attribute phase change values")?;
        }
        let size = c.uint(1 << (flags & 3), "size of chunk 0")?;
        let tracked = flags & 0x04 != 0;
        self.pending.push_back((address.saturating_add(c.consumed() as u64), size));
        let mut first = true;
        while let Some((address, len)) = self.pending.pop_front() {
            let block = self.chunk(address, len)?;
            let mut c = block.cursor();
            let mut end = 0;
            if !std::mem::take(&mut first) {
                c.signature(b"OCHK")?;
                end = 4;
            }
            let prefix = if tracked { 6 } else { 4 };
            while c.remaining() >= prefix + end {
                let kind = u16::from(c.u8("message type")?);
                let size = c.u16("message size")?;
                let flags = c.u8("message flags")?;
                if tracked {
                    c.skip(2, "creation order")?;
                }
                self.message(&mut c, kind, size, flags)?;
            }
        }
        Ok(())
    }

    fn chunk(&mut self, address: u64, len: u64) -> Result<super::file::Block, FormatError> {
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > HEADER_BYTES_MAX {
            return Err(FormatError::limit("hdf5_header_bytes_max", HEADER_BYTES_MAX));
        }
        if !self.seen.insert(address) {
            let at = self.file.offset(address);
            return Err(FormatError::malformed("object header continuation", at, "leads back to itself"));
        }
        self.file.block(address, len, "object header chunk")
    }

    fn message(&mut self, c: &mut Cursor<'_>, kind: u16, size: u16, flags: u8) -> Result<(), FormatError> {
        let base = c.position();
        let body = c.take(size.into(), "message body")?;
        if self.messages.len() >= MESSAGES_MAX {
            return Err(FormatError::limit("hdf5_messages_max", MESSAGES_MAX as u64));
        }
        if kind == kind::CONTINUATION {
            let mut c = Cursor::new(body, base, self.file.sizes());
            self.pending.push_back((c.defined("continuation address")?, c.length("continuation length")?));
        } else if kind != 0 {
            self.messages.push(Message { kind, shared: flags & 2 != 0, body: body.to_vec(), base });
        }
        Ok(())
    }
}
