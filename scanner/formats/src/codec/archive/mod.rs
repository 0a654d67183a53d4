//! What ZIP, tar and 7z archives have in common: names that escape the folder
//! they are unpacked into, links, permissions, and when content beside a model
//! counts.

pub mod names;
pub mod rules;
mod survey;

pub use survey::{Kind, Survey};

/// Whether content starts like a native program or library: ELF, PE, Mach-O.
#[must_use]
pub fn is_executable(head: &[u8]) -> bool {
    match head {
        [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] => true,
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => true,
        // A universal binary counts few architectures; a Java class has a
        // version there, 45 at least.
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, count, ..] => *count < 40,
        _ => false,
    }
}
