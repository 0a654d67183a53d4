//! How much memory a 7z archive asks for, before the library gives it: the
//! table of contents may itself be packed, with a dictionary and an unpacked
//! size of its own (`7zFormat.txt`, "Header encode data").

use sevenz_rust2::Archive;

use crate::core::{FormatError, Input, Reader};

/// First bytes of an archive.
pub(super) const SIGNATURE: &[u8] = b"7z\xbc\xaf\x27\x1c";
/// Largest table of contents read, packed or not.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Largest dictionary of a coder.
const DICTIONARY_BYTES_MAX: u64 = 128 << 20;
/// Most coders of a folder and most folders, as 7-Zip has it.
const CODERS_MAX: u64 = 64;
/// Longest properties of a coder.
const PROPERTIES_BYTES_MAX: usize = 255;
/// Bytes of the signature header.
const START_BYTES: u64 = 32;

const LZMA: &[u8] = &[3, 1, 1];
const LZMA2: &[u8] = &[0x21];

/// Checks the start header, and the packed table of contents if there is one.
pub(super) fn check(input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    r.magic(SIGNATURE)?;
    r.skip(6, "version and checksum")?;
    let offset = r.u64_le("next header offset")?;
    let size = r.u64_le("next header size")?;
    if size > HEADER_BYTES_MAX {
        return Err(FormatError::limit("sevenz_header_bytes_max", HEADER_BYTES_MAX));
    }
    let start =
        offset.checked_add(START_BYTES).filter(|start| start.checked_add(size).is_some_and(|e| e <= input.len()));
    let start = start.ok_or_else(|| FormatError::truncated("next header", r.position()))?;
    let header = input.slice(start, size).ok_or_else(|| FormatError::truncated("next header", start))?;
    let mut r = Reader::new(&header);
    if size > 0 && r.u8("header type")? == ENCODED_HEADER { encoded_header(&mut r) } else { Ok(()) }
}

/// Checks the coders of the archive's content.
pub(super) fn check_blocks(archive: &Archive) -> Result<(), FormatError> {
    for coder in archive.blocks.iter().flat_map(|block| &block.coders) {
        check_dictionary(coder.encoder_method_id(), coder.properties())?;
    }
    Ok(())
}

const END: u8 = 0;
const PACK_INFO: u8 = 6;
const UNPACK_INFO: u8 = 7;
const SIZE: u8 = 9;
const DIGESTS: u8 = 10;
const FOLDERS: u8 = 11;
const UNPACK_SIZES: u8 = 12;
const ENCODED_HEADER: u8 = 0x17;

/// "Streams Info" of the packed table of contents, up to its unpacked sizes.
fn encoded_header(r: &mut Reader<'_>) -> Result<(), FormatError> {
    let unknown = |r: &Reader<'_>| FormatError::malformed("property", r.position(), "not one of a packed header");
    let mut property = r.u8("property")?;
    if property == PACK_INFO {
        number(r)?;
        let streams = bounded(r, CODERS_MAX)?;
        loop {
            match r.u8("property")? {
                END => break,
                SIZE => (0..streams).try_for_each(|_| number(r).map(drop))?,
                DIGESTS => skip_digests(r, streams)?,
                _ => return Err(unknown(r)),
            }
        }
        property = r.u8("property")?;
    }
    if property != UNPACK_INFO || r.u8("property")? != FOLDERS {
        return Err(unknown(r));
    }
    let folders = bounded(r, CODERS_MAX)?;
    r.skip(1, "external")?;
    let mut outputs = 0;
    for _ in 0..folders {
        outputs += folder(r)?;
    }
    if r.u8("property")? != UNPACK_SIZES {
        return Err(unknown(r));
    }
    for _ in 0..outputs {
        if number(r)? > HEADER_BYTES_MAX {
            return Err(FormatError::limit("sevenz_header_bytes_max", HEADER_BYTES_MAX));
        }
    }
    Ok(())
}

/// One folder's coders and how they are joined; returns its output streams.
fn folder(r: &mut Reader<'_>) -> Result<u64, FormatError> {
    let coders = bounded(r, CODERS_MAX)?;
    let (mut inputs, mut outputs) = (0, 0);
    for _ in 0..coders {
        let flags = r.u8("coder flags")?;
        let id = r.bytes((flags & 0x0f).into(), 15, "coder id")?;
        let (coder_inputs, coder_outputs) =
            if flags & 0x10 != 0 { (bounded(r, CODERS_MAX)?, bounded(r, CODERS_MAX)?) } else { (1, 1) };
        inputs += coder_inputs;
        outputs += coder_outputs;
        if flags & 0x20 != 0 {
            let len = number(r)?;
            check_dictionary(&id, &r.bytes(len, PROPERTIES_BYTES_MAX, "coder properties")?)?;
        }
    }
    let pairs = outputs.saturating_sub(1);
    (0..pairs * 2).try_for_each(|_| number(r).map(drop))?;
    let packed = inputs.saturating_sub(pairs);
    if packed > 1 {
        (0..packed).try_for_each(|_| number(r).map(drop))?;
    }
    Ok(outputs)
}

fn skip_digests(r: &mut Reader<'_>, streams: u64) -> Result<(), FormatError> {
    let mut defined = streams;
    if r.u8("all defined")? == 0 {
        let bits = r.bytes(streams.div_ceil(8), PROPERTIES_BYTES_MAX, "digests defined")?;
        defined = bits.iter().map(|b| u64::from(b.count_ones())).sum();
    }
    r.skip(defined * 4, "digests")
}

/// The dictionary that LZMA and LZMA2 properties ask for.
fn check_dictionary(method: &[u8], properties: &[u8]) -> Result<(), FormatError> {
    let bytes = match (method, properties) {
        (LZMA, [_, d0, d1, d2, d3, ..]) => u64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3])),
        (LZMA2, [bits, ..]) => (2 | u64::from(bits & 1)) << (u32::from(*bits) / 2 + 11).min(60),
        _ => 0,
    };
    if bytes > DICTIONARY_BYTES_MAX {
        return Err(FormatError::limit("sevenz_dictionary_bytes_max", DICTIONARY_BYTES_MAX));
    }
    Ok(())
}

fn bounded(r: &mut Reader<'_>, max: u64) -> Result<u64, FormatError> {
    let n = number(r)?;
    if n > max { Err(FormatError::malformed("count", r.position(), "more than 7-Zip allows")) } else { Ok(n) }
}

/// A number of one to nine bytes: as many follow as the first has leading ones
/// ("REAL_UINT64 / NUMBER").
fn number(r: &mut Reader<'_>) -> Result<u64, FormatError> {
    let first = r.u8("number")?;
    let more = first.leading_ones();
    let mut value = 0u64;
    for i in 0..more {
        value |= u64::from(r.u8("number")?) << (8 * i);
    }
    // The bits after the first zero are the highest.
    let high = if more < 7 { u64::from(first & (0x7f >> more)) << (8 * more) } else { 0 };
    Ok(value | high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> u64 {
        let input = Input::bytes(bytes.to_vec());
        number(&mut Reader::new(&input)).unwrap()
    }

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        assert_eq!(read(&[0x7f]), 0x7f);
        assert_eq!(read(&[0x81, 0x02]), 0x102);
        assert_eq!(read(&[0xc0, 0x02, 0x03]), 0x302);
        assert_eq!(read(&[0xff, 1, 0, 0, 0, 0, 0, 0, 0x80]), 0x8000_0000_0000_0001);
    }

    #[test]
    fn dictionaries_over_the_limit_are_refused() {
        assert!(check_dictionary(LZMA, &[0x5d, 0, 0, 0, 4]).is_ok());
        assert!(check_dictionary(LZMA, &[0x5d, 0, 0, 0, 9]).is_err());
        assert!(check_dictionary(LZMA2, &[24]).is_ok());
        assert!(check_dictionary(LZMA2, &[40]).is_err());
        assert!(check_dictionary(LZMA2, &[255]).is_err());
    }

    #[test]
    fn packed_headers_that_unpack_to_too_much_are_refused() {
        let coder = [0x23, 3, 1, 1, 5, 0x5d, 0, 0, 1, 0];
        let with_size = |size: &[u8]| {
            let bytes = [&[6, 0, 1, 9, 10, 0, 7, 11, 1, 0, 1], &coder[..], &[12], size].concat();
            let input = Input::bytes(bytes);
            encoded_header(&mut Reader::new(&input))
        };
        assert!(with_size(&[0x40]).is_ok());
        assert!(matches!(with_size(&[0xf0, 0, 0, 0, 0xff]), Err(FormatError::Limit { .. })));
    }
}
