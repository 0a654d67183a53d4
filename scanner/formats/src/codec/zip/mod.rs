//! ZIP archives (PKWARE APPNOTE 6.3.10), read as CPython's `zipfile` reads
//! them: by the central directory found from the end of the file.

mod inspect;
mod listing;

pub use inspect::{inspect_members, report_anomalies};
pub use listing::{Listing, Member};
