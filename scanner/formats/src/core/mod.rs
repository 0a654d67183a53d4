//! What every format shares: bounded input, the inspection context, the
//! registry entry, identification.

pub(crate) mod engine;
mod error;
mod generic;
mod identify;
mod input;
mod inspection;
mod limits;
mod parser;
mod reader;
mod sniff;
mod spec;

pub use engine::{claims_model, inspect};
pub use error::FormatError;
pub use generic::GENERIC_RULES;
pub use identify::{identify, is_companion, triage};
pub use input::{Input, ReadAt};
pub use inspection::{Child, ContentMatch, ContentScanner, Inspection, Interest, NoContent, Outcome};
pub use limits::{Limits, Options};
pub use parser::Parser;
pub use reader::Reader;
pub use sniff::{FileName, HEAD_BYTES, Sniff, TAIL_BYTES};
pub use spec::{Confidence, FormatSpec, Recognise, Scope};

#[cfg(test)]
pub(crate) mod testing;
