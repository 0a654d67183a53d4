//! ZIP archives written byte by byte, with every field at the test's will.

use std::io::Write;

/// One member; `local_*` and the rest differ only if a test says so.
#[derive(Clone)]
pub(crate) struct Member {
    pub name: Vec<u8>,
    pub local_name: Vec<u8>,
    pub method: u16,
    pub local_method: u16,
    pub flags: u16,
    pub local_flags: u16,
    pub crc32: u32,
    pub size: u32,
    pub data: Vec<u8>,
    pub external_attributes: u32,
    pub in_directory: bool,
    /// Shares the local header of the member before it.
    pub shares_data: bool,
}

impl Member {
    pub(crate) fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.into(),
            local_name: name.into(),
            method: 0,
            local_method: 0,
            flags: 0,
            local_flags: 0,
            crc32: crc32fast::hash(content),
            size: u32::try_from(content.len()).unwrap(),
            data: content.to_vec(),
            external_attributes: 0o100_644 << 16,
            in_directory: true,
            shares_data: false,
        }
    }

    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflate.write_all(content).unwrap();
        let data = deflate.finish().unwrap();
        Self { method: 8, local_method: 8, data, ..Self::stored(name, content) }
    }

    pub(crate) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

#[derive(Clone, Default)]
pub(crate) struct Archive {
    pub members: Vec<Member>,
    pub prefix: Vec<u8>,
    pub offsets_adjusted: bool,
    pub count: Option<u16>,
    pub comment: Vec<u8>,
    pub suffix: Vec<u8>,
}

impl Archive {
    pub(crate) fn of(members: &[Member]) -> Self {
        Self { members: members.to_vec(), ..Self::default() }
    }

    pub(crate) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let base = if self.offsets_adjusted { 0 } else { self.prefix.len() };
        let mut central = Vec::new();
        let mut offset = 0u32;
        for m in &self.members {
            if !m.shares_data {
                offset = u32::try_from(out.len() - base).unwrap();
                out.extend(b"PK\x03\x04\x14\0");
                out.extend(m.local_flags.to_le_bytes());
                out.extend(m.local_method.to_le_bytes());
                out.extend([0, 0, 0x21, 0]);
                fields(&mut out, m);
                out.extend(short(m.local_name.len()));
                out.extend([0, 0]);
                out.extend(&m.local_name);
                out.extend(&m.data);
            }
            if m.in_directory {
                central.extend(b"PK\x01\x02\x14\x03\x14\0");
                central.extend(m.flags.to_le_bytes());
                central.extend(m.method.to_le_bytes());
                central.extend([0, 0, 0x21, 0]);
                fields(&mut central, m);
                central.extend(short(m.name.len()));
                central.extend([0; 8]);
                central.extend(m.external_attributes.to_le_bytes());
                central.extend(offset.to_le_bytes());
                central.extend(&m.name);
            }
        }
        let start = u32::try_from(out.len() - base).unwrap();
        let count = self.members.iter().filter(|m| m.in_directory).count();
        let count = self.count.map_or(short(count), u16::to_le_bytes);
        out.extend(&central);
        out.extend(b"PK\x05\x06\0\0\0\0");
        out.extend(count);
        out.extend(count);
        out.extend(long(central.len()));
        out.extend(start.to_le_bytes());
        out.extend(short(self.comment.len()));
        out.extend(&self.comment);
        out.extend(&self.suffix);
        out
    }
}

fn fields(out: &mut Vec<u8>, m: &Member) {
    out.extend(m.crc32.to_le_bytes());
    out.extend(long(m.data.len()));
    out.extend(m.size.to_le_bytes());
}

fn short(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_le_bytes()
}

fn long(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap().to_le_bytes()
}
