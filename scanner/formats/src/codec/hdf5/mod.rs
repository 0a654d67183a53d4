//! HDF5 files (HDF5 File Format Specification 3.0), read-only: superblocks 0
//! to 3, object headers 1 and 2, old and new groups, links of every kind,
//! attributes in headers and heaps, dataset storage.
//!
//! Every structure in the file points at others by address, so an attacker
//! can close any circle: each walk keeps the addresses it has seen, a depth,
//! and takes from one budget of bytes read per file. Nothing recurses on the
//! file's structure except datatypes, to a named depth.
//!
//! Checksums are not verified: a loader that does refuses the file, one that
//! does not sees what is seen here.

mod btree1;
mod btree2;
mod chunks;
mod cursor;
mod dataset;
mod datatype;
mod file;
mod fractal_heap;
mod header;
mod heap;
mod link;
mod shared;
mod superblock;
#[cfg(test)]
pub(crate) mod tests;
mod value;
mod virtual_layout;
mod walk;

pub use dataset::{Dataset, ExternalFile, Filter, Storage};
pub use datatype::{Class, Datatype};
pub use file::File;
pub use link::{Link, Target};
pub use superblock::{SIGNATURE, locate};
pub use value::{Attribute, Content};
pub use virtual_layout::VirtualSource;
pub use walk::{Kind, Object, Walk};
