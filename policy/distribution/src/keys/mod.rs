//! The keys of a fleet: made once, rotated when they age, leak or are lost.

mod folder;
mod init;
mod key;
mod rotate;

pub use crate::roots::{Role, Validity};
pub use folder::KeyFolder;
pub use init::{Made, NewKeys, init};
pub use key::KeyType;
pub use rotate::{Rotated, Rotation, rotate};
