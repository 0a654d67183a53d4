//! Encodings that several formats share: containers, serialisations, source
//! text. Nothing here knows what a model is.

pub mod config;
pub mod indicators;
pub mod jinja;
pub mod json;
pub mod marshal;
pub mod stream;
pub mod xml;
pub mod yaml;
pub mod zip;
