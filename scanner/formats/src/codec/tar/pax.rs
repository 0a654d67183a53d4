use crate::core::FormatError;

/// The records of a pax header that change how an entry is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub path: Option<String>,
    pub link: Option<String>,
    pub size: Option<u64>,
    pub is_sparse: bool,
}

impl Records {
    /// Parses `<length> <key>=<value>\n`, repeated (POSIX.1-2001, "pax Header
    /// Block").
    pub(super) fn parse(mut data: &[u8], offset: u64) -> Result<Self, FormatError> {
        let malformed = |reason: &'static str| FormatError::malformed("pax header", offset, reason);
        let mut records = Self::default();
        while data.first().is_some_and(|b| *b != 0) {
            let space =
                memchr::memchr(b' ', data.get(..20).unwrap_or(data)).ok_or(malformed("a record has no length"))?;
            let (digits, _) = data.split_at_checked(space).unwrap_or_default();
            let len = std::str::from_utf8(digits).ok().and_then(|d| d.parse::<usize>().ok());
            let len = len.filter(|l| *l > space + 1).ok_or(malformed("a record's length is no number"))?;
            let (record, rest) = data.split_at_checked(len).ok_or(malformed("a record is longer than the header"))?;
            data = rest;
            let body = record.get(space + 1..).unwrap_or_default();
            let body = body.strip_suffix(b"\n").ok_or(malformed("a record does not end in a line feed"))?;
            let Some(equals) = memchr::memchr(b'=', body) else { return Err(malformed("a record has no value")) };
            let (key, value) = body.split_at_checked(equals).unwrap_or_default();
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            match key {
                b"path" | b"GNU.sparse.name" => records.path = Some(value),
                b"linkpath" => records.link = Some(value),
                b"size" => {
                    let size = value.trim().parse().map_err(|_| malformed("`size` is no number"))?;
                    records.size = Some(size);
                }
                _ if key.starts_with(b"GNU.sparse.") => records.is_sparse = true,
                _ => {}
            }
        }
        Ok(records)
    }

    /// These records, and those of `global` where there are none.
    pub(super) fn or(self, global: &Self) -> Self {
        Self {
            path: self.path.or_else(|| global.path.clone()),
            link: self.link.or_else(|| global.link.clone()),
            size: self.size.or(global.size),
            is_sparse: self.is_sparse || global.is_sparse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_their_length() {
        let records = Records::parse(b"12 path=a=b\n11 size=12\n20 comment=whatever\n\0\0", 0).unwrap();
        assert_eq!(records, Records { path: Some("a=b".into()), size: Some(12), ..Records::default() });
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for data in
            [&b"99 path=a\n"[..], b"0 path=a\n", b"x path=a\n", b"2 \n", b"9 path=ab", b"11 size=-1\n", b"7777777"]
        {
            assert!(Records::parse(data, 0).is_err(), "{}", data.escape_ascii());
        }
    }
}
