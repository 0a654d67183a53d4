//! Encodings that several formats share: containers, serialisations, source
//! text. Nothing here knows what a model is.

pub mod hdf5;
pub mod jinja;
pub mod json;
pub mod marshal;
mod python_json;
pub mod stream;
pub mod xml;
pub mod zip;
