//! Links (sections IV.A.2.c and IV.A.2.g) and the groups that hold them.

use super::btree1;
use super::btree2::{self, record};
use super::cursor::Cursor;
use super::file::File;
use super::fractal_heap::FractalHeap;
use super::header::{Message, kind};
use crate::core::FormatError;

/// Longest link name or soft link value kept.
const NAME_BYTES_MAX: usize = 64 * 1024;
/// Link type of external links; higher ones belong to applications.
const EXTERNAL: u8 = 64;

/// A named reference from a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name in the group.
    pub name: String,
    /// What it leads to.
    pub target: Target,
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The object whose header is at this address.
    Hard(u64),
    /// A path in the same file, resolved when it is followed.
    Soft(String),
    /// An object of another file.
    External {
        /// Path of the file, as stored.
        file: String,
        /// Path of the object in it.
        object: String,
    },
    /// A type that an application defines (65 to 255).
    UserDefined(u8),
}

/// Hands every link of the group with these header messages to `found`.
pub(super) fn of_group(
    file: &File,
    messages: &[Message],
    found: &mut dyn FnMut(Link) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    for message in messages {
        let mut c = Cursor::new(&message.body, message.base, file.sizes());
        match message.kind {
            kind::LINK => found(parse(c)?)?,
            kind::SYMBOL_TABLE => {
                let tree = c.address("group b-tree")?;
                let heap = c.address("group heap")?;
                if let (Some(tree), Some(heap)) = (tree, heap) {
                    btree1::members(file, tree, heap, &mut *found)?;
                }
            }
            kind::LINK_INFO => dense(file, c, found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Links kept in a fractal heap (link info message, section IV.A.2.c).
fn dense(
    file: &File,
    mut c: Cursor<'_>,
    found: &mut dyn FnMut(Link) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    c.version(0, "link info version")?;
    let flags = c.u8("link info flags")?;
    if flags & 1 != 0 {
        c.skip(8, "maximum creation index")?;
    }
    let heap = c.address("link heap")?;
    let names = c.address("link name index")?;
    let (Some(heap), Some(names)) = (heap, names) else { return Ok(()) };
    let heap = FractalHeap::read(file, heap)?;
    btree2::records(file, names, |kind, mut c| {
        match kind {
            record::LINK_NAME => c.skip(4, "link name hash")?,
            record::LINK_ORDER => c.skip(8, "link creation order")?,
            _ => return Err(FormatError::malformed("link index", c.position(), "another kind of tree")),
        }
        let base = c.position();
        let id = c.take(heap.id_bytes().min(c.remaining()), "link heap id")?;
        let body = heap.object(id)?;
        found(parse(Cursor::new(&body, base, file.sizes()))?)
    })
}

/// A link message (section IV.A.2.g).
fn parse(mut c: Cursor<'_>) -> Result<Link, FormatError> {
    let at = c.position();
    if c.u8("link version")? != 1 {
        return Err(FormatError::malformed("link version", at, "not 1"));
    }
    let flags = c.u8("link flags")?;
    let kind = if flags & 0x08 != 0 { c.u8("link type")? } else { 0 };
    if flags & 0x04 != 0 {
        c.skip(8, "link creation order")?;
    }
    if flags & 0x10 != 0 {
        c.skip(1, "link name character set")?;
    }
    let len = c.uint(1 << (flags & 3), "link name length")?;
    let name = text(&mut c, len, "link name")?;
    let target = match kind {
        0 => Target::Hard(c.defined("link target")?),
        1 => {
            let len = c.u16("soft link length")?;
            Target::Soft(text(&mut c, len.into(), "soft link value")?)
        }
        EXTERNAL => {
            let len = c.u16("external link length")?;
            let mut c = Cursor::new(c.take(len.into(), "external link value")?, c.position(), c.sizes());
            c.skip(1, "external link version and flags")?;
            let file = String::from_utf8_lossy(c.until_nul("external file name")?).into_owned();
            let object = c.rest().split(|b| *b == 0).next().unwrap_or_default();
            Target::External { file, object: String::from_utf8_lossy(object).into_owned() }
        }
        other => Target::UserDefined(other),
    };
    Ok(Link { name, target })
}

fn text(c: &mut Cursor<'_>, len: u64, field: &'static str) -> Result<String, FormatError> {
    let len = usize::try_from(len)
        .ok()
        .filter(|n| *n <= NAME_BYTES_MAX)
        .ok_or(FormatError::limit("hdf5_name_bytes_max", NAME_BYTES_MAX as u64))?;
    Ok(String::from_utf8_lossy(c.take(len, field)?).into_owned())
}
