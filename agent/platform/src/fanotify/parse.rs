use super::handle::Fsid;

/// `struct fanotify_event_metadata` without its records.
const METADATA_BYTES: usize = 24;
/// The only layout there has been since Linux 2.6.37.
const METADATA_VERSION: u8 = 3;
/// `struct fanotify_event_info_header`.
const HEADER_BYTES: usize = 4;
/// Most records looked at in one event; the kernel writes at most five.
const RECORDS_MAX: usize = 16;
/// Longest file name of any file system (NAME_MAX), bytes.
const NAME_BYTES_MAX: usize = 255;

/// Why bytes are no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A length points past the end, or below what it must hold.
    #[error("fanotify event is cut short at `{field}`; the kernel and this program disagree on its layout")]
    Truncated {
        /// What did not fit.
        field: &'static str,
    },
    /// Not the layout this parser knows.
    #[error("fanotify event has layout version `{0}`, this program knows 3; update it")]
    Version(u8),
}

/// The object an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Object {
    /// None: a queue overflow, or a group that reports handles.
    #[default]
    None,
    /// The number of an open descriptor.
    Descriptor(i32),
    /// The kernel could not open it; a positive `errno`.
    Failed(i32),
}

/// A directory by handle, and a name in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirName<'a> {
    /// The file system.
    pub fsid: Fsid,
    /// Handle type, for open_by_handle_at(2).
    pub kind: i32,
    /// Handle, opaque.
    pub handle: &'a [u8],
    /// File name, any bytes but `/` and NUL; empty where the event has none.
    pub name: &'a [u8],
}

/// The bytes an access is about (`FAN_PRE_ACCESS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Length, bytes; 0 for unknown.
    pub count: u64,
}

/// A file system that noticed damage (`FAN_FS_ERROR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystemError {
    /// Positive or negative `errno`, as the file system wrote it.
    pub errno: i32,
    /// Errors since the last report.
    pub count: u32,
}

/// One event. Numbers of descriptors are numbers here, owned by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event<'a> {
    /// What happened: bits of `FAN_*`.
    pub mask: u64,
    /// Who did it; 0 for a process this namespace does not see.
    pub pid: i32,
    /// On what.
    pub object: Object,
    /// Descriptor of the process; negative numbers, which say why there is
    /// none, are left out.
    pub pidfd: Option<i32>,
    /// The directory, and the name in it.
    pub dir: Option<DirName<'a>>,
    /// The object itself by handle (`FAN_REPORT_FID`).
    pub fid: Option<DirName<'a>>,
    /// The bytes about to be accessed.
    pub range: Option<Range>,
    /// A file system's error.
    pub error: Option<FileSystemError>,
    /// Mount attached or detached (`FAN_REPORT_MNT`).
    pub mount_id: Option<u64>,
}

/// Reads what read(2) on a fanotify descriptor wrote. Never panics, never
/// allocates, touches no descriptor; ends after the first error.
#[must_use]
pub fn parse(bytes: &[u8]) -> Events<'_> {
    Events { rest: bytes }
}

/// Iterator over events; see [`parse`].
#[derive(Debug, Clone)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match one(self.rest) {
            Ok((event, rest)) => {
                self.rest = rest;
                Some(Ok(event))
            }
            Err(e) => {
                self.rest = &[];
                Some(Err(e))
            }
        }
    }
}

fn one(bytes: &[u8]) -> Result<(Event<'_>, &[u8]), ParseError> {
    let length = usize_of(u32_at(bytes, 0, "event_len")?);
    let version = *bytes.get(4).ok_or(ParseError::Truncated { field: "vers" })?;
    if version != METADATA_VERSION {
        return Err(ParseError::Version(version));
    }
    let metadata = usize::from(u16_at(bytes, 6, "metadata_len")?);
    if metadata < METADATA_BYTES || length < metadata {
        return Err(ParseError::Truncated { field: "metadata_len" });
    }
    let (event, rest) = bytes.split_at_checked(length).ok_or(ParseError::Truncated { field: "event_len" })?;
    let object = match i32_at(event, 16, "fd")? {
        // FAN_NOFD, which `-EPERM` cannot be told from.
        -1 => Object::None,
        fd if fd >= 0 => Object::Descriptor(fd),
        errno => Object::Failed(errno.saturating_neg()),
    };
    let mut out = Event { mask: u64_at(event, 8, "mask")?, object, pid: i32_at(event, 20, "pid")?, ..Event::default() };
    let mut records = event.get(metadata..).unwrap_or_default();
    for _ in 0..RECORDS_MAX {
        if records.is_empty() {
            break;
        }
        records = record(records, &mut out)?;
    }
    Ok((out, rest))
}

/// Reads one record into `out`. Of a kind that comes twice the first stays;
/// unknown kinds are skipped.
fn record<'a>(bytes: &'a [u8], out: &mut Event<'a>) -> Result<&'a [u8], ParseError> {
    let kind = *bytes.first().ok_or(ParseError::Truncated { field: "info_type" })?;
    let length = usize::from(u16_at(bytes, 2, "info_len")?);
    if length < HEADER_BYTES {
        return Err(ParseError::Truncated { field: "info_len" });
    }
    let (record, rest) = bytes.split_at_checked(length).ok_or(ParseError::Truncated { field: "info_len" })?;
    match kind {
        libc::FAN_EVENT_INFO_TYPE_FID => out.fid = out.fid.or(Some(handle(record, false)?)),
        libc::FAN_EVENT_INFO_TYPE_DFID => out.dir = out.dir.or(Some(handle(record, false)?)),
        libc::FAN_EVENT_INFO_TYPE_DFID_NAME
        | libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
        | libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => out.dir = out.dir.or(Some(handle(record, true)?)),
        libc::FAN_EVENT_INFO_TYPE_PIDFD => {
            let fd = i32_at(record, 4, "pidfd")?;
            out.pidfd = out.pidfd.or((fd >= 0).then_some(fd));
        }
        libc::FAN_EVENT_INFO_TYPE_ERROR => {
            let error =
                FileSystemError { errno: i32_at(record, 4, "error")?, count: u32_at(record, 8, "error_count")? };
            out.error = out.error.or(Some(error));
        }
        INFO_RANGE => {
            let range = Range { offset: u64_at(record, 8, "offset")?, count: u64_at(record, 16, "count")? };
            out.range = out.range.or(Some(range));
        }
        INFO_MNT => out.mount_id = out.mount_id.or(Some(u64_at(record, 8, "mnt_id")?)),
        _ => {}
    }
    Ok(rest)
}

// Newer than the C library's header: linux/fanotify.h, 6.14.
const INFO_RANGE: u8 = 6;
const INFO_MNT: u8 = 7;

/// `fsid`, `handle_bytes`, `handle_type`, handle, then perhaps a name that
/// ends with NUL and is padded with more.
fn handle(record: &[u8], named: bool) -> Result<DirName<'_>, ParseError> {
    let fsid = Fsid::from_bits(u64_at(record, 4, "fsid")?);
    let length = usize_of(u32_at(record, 12, "handle_bytes")?);
    let kind = i32_at(record, 16, "handle_type")?;
    let tail = record.get(20..).ok_or(ParseError::Truncated { field: "file_handle" })?;
    let (handle, tail) = tail.split_at_checked(length).ok_or(ParseError::Truncated { field: "file_handle" })?;
    let name = if named { name(tail)? } else { &[] };
    Ok(DirName { fsid, kind, handle, name })
}

fn name(tail: &[u8]) -> Result<&[u8], ParseError> {
    let end = tail.iter().position(|b| *b == 0).ok_or(ParseError::Truncated { field: "name" })?;
    tail.get(..end)
        .filter(|n| n.len() <= NAME_BYTES_MAX && !n.contains(&b'/'))
        .ok_or(ParseError::Truncated { field: "name" })
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize, field: &'static str) -> Result<[u8; N], ParseError> {
    bytes.get(at..).and_then(|b| b.first_chunk()).copied().ok_or(ParseError::Truncated { field })
}

fn u16_at(bytes: &[u8], at: usize, field: &'static str) -> Result<u16, ParseError> {
    bytes_at(bytes, at, field).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize, field: &'static str) -> Result<u32, ParseError> {
    bytes_at(bytes, at, field).map(u32::from_ne_bytes)
}

fn i32_at(bytes: &[u8], at: usize, field: &'static str) -> Result<i32, ParseError> {
    bytes_at(bytes, at, field).map(i32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize, field: &'static str) -> Result<u64, ParseError> {
    bytes_at(bytes, at, field).map(u64::from_ne_bytes)
}

fn usize_of(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
