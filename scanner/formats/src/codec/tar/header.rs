/// Bytes of a header and of a block of data.
pub(super) const BLOCK_BYTES: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A file whose holes are left out: its data is not its content.
    Sparse,
    /// A hard link.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A character or block device or a FIFO.
    Device,
    /// A folder.
    Folder,
    /// GNU: the data is the next entry's name.
    LongName,
    /// GNU: the data is the next entry's link target.
    LongLink,
    /// pax records for the next entry.
    Pax,
    /// pax records for all entries that follow.
    PaxGlobal,
}

/// One header block.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    /// `None` where the field holds no number, or a negative one.
    pub size: Option<u64>,
    pub kind: Kind,
    pub checksum_fits: bool,
    pub is_ustar: bool,
    /// GNU sparse: whether more blocks of the sparse map follow the header.
    pub sparse_map_goes_on: bool,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK_BYTES]) -> Self {
        let field = |at: usize, len: usize| block.get(at..at + len).unwrap_or_default();
        let is_ustar = field(257, 5) == b"ustar";
        let mut name = text(field(0, 100)).to_vec();
        let prefix = text(field(345, 155));
        // Old GNU headers hold times where POSIX has the prefix.
        if field(257, 6) == b"ustar\0" && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let type_flag = field(156, 1).first().copied().unwrap_or(0);
        let kind = match type_flag {
            b'1' => Kind::HardLink,
            b'2' => Kind::SymbolicLink,
            b'3' | b'4' | b'6' => Kind::Device,
            b'5' => Kind::Folder,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'x' | b'X' => Kind::Pax,
            b'g' => Kind::PaxGlobal,
            b'S' => Kind::Sparse,
            0 if name.ends_with(b"/") => Kind::Folder,
            _ => Kind::File,
        };
        Self {
            link: text(field(157, 100)).to_vec(),
            mode: number(field(100, 8)).and_then(|m| u32::try_from(m).ok()).unwrap_or(0),
            size: number(field(124, 12)),
            checksum_fits: checksum_fits(block),
            sparse_map_goes_on: type_flag == b'S' && field(482, 1) != [0],
            name,
            kind,
            is_ustar,
        }
    }
}

/// Whether content starts like a tar archive: a first header whose checksum
/// fits, with the magic of POSIX or with all numbers in octal.
#[must_use]
pub fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<BLOCK_BYTES>() else { return false };
    let header = Header::parse(block);
    let has_name = block.first().is_some_and(|b| *b > 0x20);
    if header.is_ustar {
        // Damaged ones too, so that they are reported and not passed over.
        let version = block.get(262..265).unwrap_or_default();
        return header.checksum_fits || (has_name && matches!(version, [0, b'0', b'0'] | [b' ', b' ', 0]));
    }
    header.checksum_fits
        && has_name
        && header.size.is_some()
        && block.get(108..116).is_some_and(|f| number(f).is_some())
}

/// Text up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// A number: octal digits, or, in the GNU extension, big-endian after a byte
/// 0x80. Negative ones (0xff) and everything else are `None`.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first() {
        return rest.iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)));
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// The sum of all bytes, the checksum field itself counted as spaces; some old
/// writers summed signed bytes.
fn checksum_fits(block: &[u8; BLOCK_BYTES]) -> bool {
    let Some(expected) = block.get(148..156).and_then(number) else { return false };
    let outside = || block.iter().enumerate().filter(|(i, _)| !(148..156).contains(i)).map(|(_, b)| *b);
    let unsigned: u64 = outside().map(u64::from).sum::<u64>() + 8 * 32;
    let signed: i64 = outside().map(|b| i64::from(b.cast_signed())).sum::<i64>() + 8 * 32;
    expected == unsigned || i64::try_from(expected) == Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_never_negative() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"  644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\x01\x02"), Some(258));
        assert_eq!(number(b"\xff\xff\xff\xff"), None);
        assert_eq!(number(b"12x4567\0"), None);
        assert_eq!(number(b"-000012\0"), None);
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
