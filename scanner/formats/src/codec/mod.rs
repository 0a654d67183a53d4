//! Encodings that several formats share: containers, serialisations, source
//! text. Nothing here knows what a model is.

pub mod jinja;
pub mod json;
pub mod marshal;
pub mod stream;
pub mod xml;
pub mod xml_threats;
pub mod zip;
