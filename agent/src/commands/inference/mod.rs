//! Approved models, imported and served.

mod import;
mod library;
mod parts;
mod record;
mod serve;
mod worker;

pub use import::{ImportOptions, run as import};
pub use serve::{ServeOptions, run as serve};
pub use worker::{LibraryOptions, import_worker, model_worker};
