//! XML 1.0, as far as it is needed to tell documents apart.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::core::Input;

/// Bytes within which the root element must start.
const PROLOG_BYTES_MAX: usize = 64 * 1024;

/// Local name of the root element, if one starts within the first 64 KiB.
/// Entities are not expanded and no external part is fetched.
#[must_use]
pub fn root_element(input: &Input) -> Option<String> {
    let head = input.head(PROLOG_BYTES_MAX).ok()?;
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
    }
}
