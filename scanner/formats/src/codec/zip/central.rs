use crate::codec::zip::Member;
use crate::core::{FormatError, Reader};

/// Longest name or extra field (16-bit length).
const NAME_BYTES_MAX: usize = 0xffff;

/// One central directory header (APPNOTE 4.3.12).
pub(super) fn header(r: &mut Reader<'_>, prefix: u64) -> Result<Member, FormatError> {
    let central_header = r.position();
    r.magic(b"PK\x01\x02")?;
    r.skip(4, "versions")?;
    let flags = r.u16_le("flags")?;
    let method = r.u16_le("compression method")?;
    r.skip(4, "time and date")?;
    let crc32 = r.u32_le("crc-32")?;
    let compressed_size = u64::from(r.u32_le("compressed size")?);
    let size = u64::from(r.u32_le("uncompressed size")?);
    let name_len = r.u16_le("file name length")?;
    let extra_len = r.u16_le("extra field length")?;
    let comment_len = r.u16_le("file comment length")?;
    r.skip(4, "disk and internal attributes")?;
    let external_attributes = r.u32_le("external attributes")?;
    let local = u64::from(r.u32_le("local header offset")?);
    let name = r.bytes(name_len.into(), NAME_BYTES_MAX, "file name")?;
    let extra = r.bytes(extra_len.into(), NAME_BYTES_MAX, "extra field")?;
    r.skip(comment_len.into(), "file comment")?;
    let [size, compressed_size, local] = zip64(&extra, [size, compressed_size, local]);
    let local_header = local
        .checked_add(prefix)
        .ok_or_else(|| FormatError::malformed("local header offset", central_header, "overflows"))?;
    Ok(Member {
        name: text(&name),
        flags,
        method,
        crc32,
        compressed_size,
        size,
        external_attributes,
        local_header,
        central_header,
    })
}

/// The fields with those that are all ones replaced from the ZIP64 extra field
/// (APPNOTE 4.5.3), which lists only these, in this order.
pub(super) fn zip64<const N: usize>(extra: &[u8], mut fields: [u64; N]) -> [u64; N] {
    if let Some(body) = extra_field(extra, 1) {
        let mut values = body.chunks_exact(8).filter_map(|c| c.first_chunk().map(|c| u64::from_le_bytes(*c)));
        for field in &mut fields {
            if *field == 0xffff_ffff
                && let Some(value) = values.next()
            {
                *field = value;
            }
        }
    }
    fields
}

/// The body of the extra field `id`.
pub(super) fn extra_field(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    while let Some((header, rest)) = extra.split_first_chunk::<4>() {
        let [id0, id1, len0, len1] = *header;
        let (body, next) = rest.split_at_checked(u16::from_le_bytes([len0, len1]).into())?;
        if u16::from_le_bytes([id0, id1]) == id {
            return Some(body);
        }
        extra = next;
    }
    None
}

/// A name: UTF-8, else the code page of the IBM PC (APPNOTE D.1), as CPython
/// decodes it.
pub(super) fn text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        Err(_) => name
            .iter()
            .map(|b| b.checked_sub(0x80).and_then(|i| CP437.chars().nth(i.into())).unwrap_or(char::from(*b)))
            .collect(),
    }
}

/// Code page 437 from 0x80 on.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_utf8_or_cp437() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(text("模型.pt".as_bytes()), "模型.pt");
        assert_eq!(text(b"\x81ber"), "über");
    }

    #[test]
    fn zip64_values_stand_for_fields_that_are_all_ones() {
        let mut extra = vec![0xfe, 0xca, 0, 0, 1, 0, 16, 0];
        extra.extend_from_slice(&7u64.to_le_bytes());
        extra.extend_from_slice(&9u64.to_le_bytes());
        assert_eq!(zip64(&extra, [0xffff_ffff, 5, 0xffff_ffff]), [7, 5, 9]);
        assert_eq!(zip64(&extra[..12], [0xffff_ffff, 5, 6]), [0xffff_ffff, 5, 6]);
    }
}
