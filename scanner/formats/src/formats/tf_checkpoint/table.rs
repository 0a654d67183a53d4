use crate::core::{FormatError, Input, Inspection, Reader};

/// Last bytes of every table (`kTableMagicNumber`).
pub const MAGIC: &[u8] = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb";
/// Footer: two handles padded to 40 bytes, and the magic number.
const FOOTER_BYTES: u64 = 48;
/// Largest block; writers cut at 256 KiB plus one entry.
const BLOCK_BYTES_MAX: usize = 32 << 20;
/// Longest key.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
struct Handle {
    offset: u64,
    size: u64,
}

/// Calls `each` with every key, the offset of its value and the value, in
/// file order (LevelDB, "table_format.md").
///
/// # Errors
/// What breaks off; entries up to there were visited.
pub fn entries<'c>(
    ctx: &mut Inspection<'c>,
    input: &Input,
    mut each: impl FnMut(&mut Inspection<'c>, &[u8], u64, &[u8]) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let footer = input.len().checked_sub(FOOTER_BYTES).ok_or_else(|| FormatError::truncated("table footer", 0))?;
    let mut r = Reader::at(input, footer);
    let bytes = r.bytes(40, 40, "table footer")?;
    let mut cursor = Cursor { rest: &bytes, at: footer };
    handle(&mut cursor)?;
    let index = handle(&mut cursor)?;
    let mut blocks = Vec::new();
    block(ctx, input, index, |ctx, _, at, value| {
        ctx.work(1)?;
        blocks.push(handle(&mut Cursor { rest: value, at })?);
        Ok(())
    })?;
    if blocks.is_empty() {
        return Err(FormatError::malformed("index block", index.offset, "names no block"));
    }
    for handle in blocks {
        block(ctx, input, handle, &mut each)?;
    }
    Ok(())
}

fn block<'c>(
    ctx: &mut Inspection<'c>,
    input: &Input,
    handle: Handle,
    mut each: impl FnMut(&mut Inspection<'c>, &[u8], u64, &[u8]) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    r.seek(handle.offset, "block")?;
    let bytes = r.bytes(handle.size, BLOCK_BYTES_MAX, "block")?;
    if r.u8("block type")? != 0 {
        return Err(FormatError::malformed("block type", handle.offset, "compressed, which bundles are not"));
    }
    let broken = || FormatError::malformed("block", handle.offset, "its restart points do not fit");
    let (body, count) = bytes.split_last_chunk::<4>().ok_or_else(broken)?;
    let restarts = usize::try_from(u32::from_le_bytes(*count)).ok().and_then(|n| n.checked_mul(4));
    let body = restarts.and_then(|n| body.get(..body.len().checked_sub(n)?)).ok_or_else(broken)?;
    let mut cursor = Cursor { rest: body, at: handle.offset };
    let mut key = Vec::new();
    while !cursor.rest.is_empty() {
        ctx.work(1)?;
        let at = cursor.at;
        let shared = cursor.length("shared key length")?;
        let added = cursor.length("key length")?;
        let length = cursor.length("value length")?;
        if shared > key.len() || shared.saturating_add(added) > KEY_BYTES_MAX {
            return Err(FormatError::malformed("key", at, "longer than it can be"));
        }
        key.truncate(shared);
        key.extend_from_slice(cursor.take(added, "key")?);
        let value_at = cursor.at;
        each(ctx, &key, value_at, cursor.take(length, "value")?)?;
    }
    Ok(())
}

fn handle(cursor: &mut Cursor<'_>) -> Result<Handle, FormatError> {
    Ok(Handle { offset: cursor.varint("block offset")?, size: cursor.varint("block size")? })
}

/// Reads a block in memory.
struct Cursor<'a> {
    rest: &'a [u8],
    at: u64,
}

impl<'a> Cursor<'a> {
    fn varint(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for group in 0..10 {
            let [byte] = *self.take(1, field)? else { return Err(FormatError::truncated(field, self.at)) };
            value |= u64::from(byte & 0x7f).wrapping_shl(group * 7);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FormatError::malformed(field, self.at, "a varint of more than 10 bytes"))
    }

    fn length(&mut self, field: &'static str) -> Result<usize, FormatError> {
        let at = self.at;
        usize::try_from(self.varint(field)?).map_err(|_| FormatError::truncated(field, at))
    }

    fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| FormatError::truncated(field, self.at))?;
        self.rest = rest;
        self.at += n as u64;
        Ok(taken)
    }
}
