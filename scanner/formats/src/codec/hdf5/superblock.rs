use super::cursor::{Cursor, Sizes};
use crate::core::{FormatError, Input};

/// Format signature (section II.A).
pub const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// A superblock of any version fits in this.
const SUPERBLOCK_BYTES_MAX: usize = 256;

/// Where the superblock stands: at 0, 512, 1024, 2048 and so on, whatever
/// precedes it being the user block. Looks at 8 bytes per doubling.
#[must_use]
pub fn locate(input: &Input) -> Option<u64> {
    let doublings = std::iter::successors(Some(512u64), |at| at.checked_mul(2));
    std::iter::once(0)
        .chain(doublings)
        .take_while(|at| *at < input.len())
        .find(|at| input.read_vec(*at, SIGNATURE.len()).is_ok_and(|head| head == SIGNATURE))
}

/// What the superblock says; addresses count from the superblock itself, as
/// the library counts them whatever base address is stored.
#[derive(Debug)]
pub(super) struct Superblock {
    pub version: u8,
    pub sizes: Sizes,
    /// Where the file ends by its own account, counted like addresses.
    pub end: Option<u64>,
    /// Object header of the root group.
    pub root: u64,
    /// Object header of the superblock extension (versions 2 and 3).
    pub extension: Option<u64>,
}

/// Reads the superblock at the start of `input` (section II.A).
pub(super) fn read(input: &Input, base: u64) -> Result<Superblock, FormatError> {
    let bytes = input.head(SUPERBLOCK_BYTES_MAX).map_err(|source| FormatError::Io { offset: base, source })?;
    let unknown = Sizes { offset: 8, length: 8 };
    let mut c = Cursor::new(&bytes, base, unknown);
    c.skip(SIGNATURE.len(), "signature")?;
    let version = c.version(3, "superblock version")?;
    if version >= 2 { modern(&mut c, version) } else { old(&mut c, version) }
}

fn old(c: &mut Cursor<'_>, version: u8) -> Result<Superblock, FormatError> {
    c.skip(4, "component versions")?;
    let sizes = sizes(c)?;
    c.skip(1, "reserved")?;
    c.skip(8, "group k values and consistency flags")?;
    if version == 1 {
        c.skip(4, "indexed storage k")?;
    }
    let mut c = Cursor::new(c.rest(), c.position(), sizes);
    let base = c.address("base address")?;
    c.address("free-space address")?;
    let end = c.address("end-of-file address")?;
    c.address("driver information address")?;
    c.address("root link name offset")?;
    let root = c.defined("root object header address")?;
    Ok(Superblock { version, sizes, end: relative(end, base), root, extension: None })
}

fn modern(c: &mut Cursor<'_>, version: u8) -> Result<Superblock, FormatError> {
    let sizes = sizes(c)?;
    c.skip(1, "consistency flags")?;
    let mut c = Cursor::new(c.rest(), c.position(), sizes);
    let base = c.address("base address")?;
    let extension = c.address("superblock extension address")?;
    let end = c.address("end-of-file address")?;
    let root = c.defined("root object header address")?;
    Ok(Superblock { version, sizes, end: relative(end, base), root, extension })
}

/// The end of file is stored as an absolute address, the base included.
fn relative(end: Option<u64>, base: Option<u64>) -> Option<u64> {
    end.and_then(|end| end.checked_sub(base.unwrap_or(0)))
}

fn sizes(c: &mut Cursor<'_>) -> Result<Sizes, FormatError> {
    let at = c.position();
    let sizes = Sizes { offset: c.u8("size of offsets")?, length: c.u8("size of lengths")? };
    if [sizes.offset, sizes.length].iter().all(|n| matches!(n, 2 | 4 | 8)) {
        return Ok(sizes);
    }
    Err(FormatError::malformed("size of offsets", at, "neither 2, 4 nor 8 bytes"))
}
