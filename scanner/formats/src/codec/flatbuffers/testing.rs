//! Buffers for tests, written front to back.

#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

/// A value of a field.
pub enum Field {
    /// Absent.
    None,
    /// A number of one byte.
    U8(u8),
    /// A number of four bytes.
    U32(u32),
    /// A number of eight bytes.
    U64(u64),
    /// Text.
    Text(&'static str),
    /// A table.
    Table(Vec<Field>),
    /// A vector of tables.
    Tables(Vec<Vec<Field>>),
    /// A vector of numbers of four bytes.
    I32s(Vec<i32>),
    /// A vector of bytes.
    Bytes(Vec<u8>),
}

/// A buffer with this identifier and root table.
pub fn buffer(identifier: &[u8; 4], root: &[Field]) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(identifier);
    let at = table(&mut out, root);
    out[..4].copy_from_slice(&(at as u32).to_le_bytes());
    out
}

fn table(out: &mut Vec<u8>, fields: &[Field]) -> usize {
    let width = |f: &Field| match f {
        Field::None => 0,
        Field::U64(_) => 8,
        _ => 4,
    };
    let vtable = out.len();
    let len = 4 + fields.iter().map(width).sum::<usize>();
    out.extend((4 + 2 * fields.len() as u16).to_le_bytes());
    out.extend((len as u16).to_le_bytes());
    let mut at = 4u16;
    for field in fields {
        out.extend(if width(field) == 0 { 0 } else { at }.to_le_bytes());
        at += width(field) as u16;
    }
    let table = out.len();
    out.extend((table as i32 - vtable as i32).to_le_bytes());
    out.resize(table + len, 0);
    let mut at = table + 4;
    for field in fields {
        write(out, at, field);
        at += width(field);
    }
    table
}

fn write(out: &mut Vec<u8>, at: usize, field: &Field) {
    let target = match field {
        Field::None => return,
        Field::U8(v) => {
            out[at] = *v;
            return;
        }
        Field::U32(v) => return out[at..at + 4].copy_from_slice(&v.to_le_bytes()),
        Field::U64(v) => return out[at..at + 8].copy_from_slice(&v.to_le_bytes()),
        Field::Table(fields) => table(out, fields),
        Field::Text(text) => {
            let start = out.len();
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.bytes().chain([0]));
            start
        }
        Field::Bytes(bytes) => {
            let start = out.len();
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(bytes);
            start
        }
        Field::I32s(values) => {
            let start = out.len();
            out.extend((values.len() as u32).to_le_bytes());
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            start
        }
        Field::Tables(tables) => {
            let start = out.len();
            out.extend((tables.len() as u32).to_le_bytes());
            out.resize(start + 4 + 4 * tables.len(), 0);
            for (i, fields) in tables.iter().enumerate() {
                let place = start + 4 + 4 * i;
                let target = table(out, fields);
                out[place..place + 4].copy_from_slice(&((target - place) as u32).to_le_bytes());
            }
            start
        }
    };
    out[at..at + 4].copy_from_slice(&((target - at) as u32).to_le_bytes());
}
