//! ZIP archives (PKWARE APPNOTE 6.3.10), read as CPython's `zipfile` reads
//! them: by the central directory found from the end of the file.

mod listing;

pub use listing::{Listing, Member};
