//! ONNX Runtime behind one door: sessions over memory that the caller holds,
//! and our own operators in them.
//!
//! Job: [`Library`] loads the shared library once; [`Language`] runs imported
//! language models (their heavy operators are those of `weighbridge-kernels`),
//! [`Stock`] those that others exported,
//! [`Encoder`] imported models that read whole texts; [`Graph`] runs any other
//! model.
//!
//! Trust boundary: a graph is an attacker's bytes. Everything here belongs in
//! a confined process: no library of custom operators is ever loaded, and
//! tensors outside the graph come from the memory given, never from a path.
//!
//! Deliberately unknown here: texts, requests, sockets.

mod encoder;
mod error;
mod graph;
mod initialisers;
mod language;
mod library;
mod operators;
mod session;
mod stock;

pub use encoder::Encoder;
pub use error::OnnxError;
pub use graph::{Data, Element, Graph, Numbers, Port, RunError};
pub use language::{Language, Setting};
pub use library::Library;
pub use session::File;
pub use stock::{Stated, Stock};
