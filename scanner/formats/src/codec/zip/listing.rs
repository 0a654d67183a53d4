use crate::codec::zip::central;
use crate::codec::zip::end::{self, End};
use crate::codec::zip::local;
use crate::core::{FormatError, Input, Reader};

/// Most members listed; the table of contents stays below 64 MiB.
pub(super) const MEMBERS_MAX: usize = 1 << 18;

/// Most bytes of names in it.
const NAMES_BYTES_MAX: usize = 64 << 20;

/// One member as the central directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name, UTF-8 or CP437 decoded; as stored, not cleaned.
    pub name: String,
    /// General purpose bit flags.
    pub flags: u16,
    /// Compression method: 0 stored, 8 deflated, 12 bzip2, 14 LZMA, 93 Zstandard, 95 XZ.
    pub method: u16,
    /// CRC-32 of the content.
    pub crc32: u32,
    /// Bytes in the archive.
    pub compressed_size: u64,
    /// Bytes of the content.
    pub size: u64,
    /// Upper 16 bits hold the Unix mode if made on Unix.
    pub external_attributes: u32,
    /// Offset of the local header, corrected for data before the archive.
    pub local_header: u64,
    /// Offset of the central directory header; of the local header, if the
    /// member was found by that alone.
    pub central_header: u64,
}

impl Member {
    /// Unix mode, 0 if the writer gave none.
    #[must_use]
    pub fn unix_mode(&self) -> u32 {
        self.external_attributes >> 16
    }

    /// Whether the mode is that of a symbolic link; its content is the target.
    #[must_use]
    pub fn is_symbolic_link(&self) -> bool {
        self.unix_mode() & 0o170_000 == 0o120_000
    }

    /// Whether there is nothing in it: a folder or an empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size == 0 && self.compressed_size == 0
    }
}

/// A ZIP archive's table of contents.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Members in the order of the central directory.
    pub members: Vec<Member>,
    /// Bytes by which offsets in the archive must be shifted, because data was
    /// put before it.
    pub prefix_bytes: u64,
    /// Offset of the central directory.
    pub central_start: u64,
    /// Offset of the end-of-central-directory record.
    pub end_record: u64,
    /// Archive comment.
    pub comment: Vec<u8>,
    /// Why the central directory was not used, or not to its end; members
    /// after that were found by their local headers.
    pub recovered: Option<String>,
    /// Members the end record counts.
    pub counted: u64,
    /// Whether there are more members than are listed.
    pub cut: bool,
    /// Whether any member carries a CRC-32. PyTorch can be told not to compute
    /// them (`torch.serialization.set_crc32_options`) and writes zeros then.
    pub checksummed: bool,
}

impl Listing {
    /// Reads the table of contents. Where the central directory is missing or
    /// breaks off, members are recovered from their local headers, as lenient
    /// readers do, and [`Self::recovered`] says so.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] if there is no archive.
    pub fn read(input: &Input) -> Result<Self, FormatError> {
        let (mut listing, stopped) = match end::find(input) {
            Ok(end) => Self::from_end(input, &end),
            Err(error) => {
                (Self { end_record: input.len(), central_start: input.len(), ..Self::default() }, Some(error))
            }
        };
        if let Some(error) = stopped {
            recover(&mut listing, input)?;
            if listing.members.is_empty() {
                return Err(error);
            }
            listing.recovered = Some(error.to_string());
        }
        listing.checksummed = listing.members.iter().any(|m| m.crc32 != 0);
        Ok(listing)
    }

    /// The directory that `end` points to, and what broke it off.
    pub(super) fn from_end(input: &Input, end: &End) -> (Self, Option<FormatError>) {
        let mut listing = Self {
            prefix_bytes: end.prefix,
            central_start: end.central_start,
            end_record: end.offset,
            comment: end.comment.clone(),
            counted: end.entries,
            ..Self::default()
        };
        let mut r = Reader::at(input, end.central_start);
        let stop = end.central_start.saturating_add(end.central_bytes);
        let mut names_bytes = 0usize;
        while r.position() < stop {
            if listing.members.len() >= MEMBERS_MAX || names_bytes > NAMES_BYTES_MAX {
                listing.cut = true;
                break;
            }
            match central::header(&mut r, end.prefix) {
                Ok(member) => {
                    names_bytes += member.name.len();
                    listing.members.push(member);
                }
                Err(error) => return (listing, Some(error)),
            }
        }
        let missing = listing.members.is_empty() && end.entries > 0;
        let stopped = missing.then(|| FormatError::truncated("central directory", end.central_start));
        (listing, stopped)
    }

    /// The first member of this name. [`Self::all`] has its duplicates.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }

    /// Every member of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |m| m.name == name)
    }

    /// Whether some member's name ends with `suffix`.
    #[must_use]
    pub fn any_ends_with(&self, suffix: &str) -> bool {
        self.members.iter().any(|m| m.name.ends_with(suffix))
    }
}

/// Adds the members that local headers show and the directory does not.
fn recover(listing: &mut Listing, input: &Input) -> Result<(), FormatError> {
    let known: std::collections::HashSet<u64> = listing.members.iter().map(|m| m.local_header).collect();
    let left = MEMBERS_MAX.saturating_sub(listing.members.len());
    let found = local::scan(input, 0..input.len(), left)?;
    listing.members.extend(found.into_iter().filter(|m| !known.contains(&m.local_header)));
    Ok(())
}
