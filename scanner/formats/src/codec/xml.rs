//! XML 1.0, as far as it is needed to tell documents apart.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::core::Input;

/// Bytes within which the root element must start.
const PROLOG_BYTES_MAX: usize = 64 * 1024;

/// Largest document in UTF-16 that is decoded, bytes.
const WIDE_BYTES_MAX: usize = 8 << 20;

/// `input` as UTF-8: XML may also be written in UTF-16 (XML 1.0, appendix F),
/// where a search for bytes sees nothing.
#[must_use]
pub fn utf8(input: &Input) -> Input {
    let head = input.head(4).unwrap_or_default();
    let big_endian = match *head.as_slice() {
        [0xfe, 0xff, ..] | [0, b'<', ..] => true,
        [0xff, 0xfe, ..] | [b'<', 0, ..] => false,
        _ => return input.clone(),
    };
    let units = input.head(WIDE_BYTES_MAX).unwrap_or_default();
    let units = units.chunks_exact(2).filter_map(|unit| unit.first_chunk().copied());
    let units = units.map(|unit: [u8; 2]| if big_endian { u16::from_be_bytes(unit) } else { u16::from_le_bytes(unit) });
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Input::bytes(text.trim_start_matches('\u{feff}').as_bytes().to_vec())
}

/// Local name of the root element, if one starts within the first 64 KiB.
/// Entities are not expanded and no external part is fetched.
#[must_use]
pub fn root_element(input: &Input) -> Option<String> {
    let head = utf8(input).head(PROLOG_BYTES_MAX).ok()?;
    let mut reader = Reader::from_reader(head.as_slice());
    reader.config_mut().check_end_names = false;
    let mut buf = Vec::new();
    loop {
        buf.clear();
        match reader.read_event_into(&mut buf).ok()? {
            Event::Start(e) | Event::Empty(e) => {
                return Some(e.local_name().as_ref().to_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_root_behind_prolog_and_doctype() {
        let doc = b"<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a 'b'>]><!-- c --><p:PMML xmlns:p='u'/>";
        assert_eq!(root_element(&Input::bytes(doc.to_vec())).as_deref(), Some("PMML"));
        assert_eq!(root_element(&Input::bytes(b"plain".to_vec())), None);
        let wide: Vec<u8> = "\u{feff}<?xml version='1.0'?><net/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(root_element(&Input::bytes(wide)).as_deref(), Some("net"));
    }
}
