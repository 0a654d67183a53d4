//! Approved models, imported and served.

mod bench;
mod chat;
mod import;
mod library;
mod load;
mod parts;
mod record;
mod revoke;
mod serve;
mod worker;

pub use bench::{BenchOptions, run as bench};
pub use chat::{ChatOptions, run as chat};
pub use import::{ImportOptions, run as import};
pub use serve::{ServeOptions, run as serve};
pub use worker::{LibraryOptions, import_worker, model_worker};
