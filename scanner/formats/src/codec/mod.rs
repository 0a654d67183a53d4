//! Encodings that several formats share: containers, serialisations, source
//! text. Nothing here knows what a model is.

pub mod archive;
pub mod config;
pub mod decompress;
pub mod flatbuffers;
pub mod hdf5;
pub mod indicators;
pub mod jinja;
pub mod json;
pub mod location;
pub mod marshal;
pub mod msgpack;
pub mod norms;
pub mod protobuf;
pub mod python;
mod python_json;
pub mod stream;
pub mod tar;
pub mod tensors;
pub mod xml;
pub mod xml_threats;
pub mod yaml;
pub mod zip;
