//! File access notification and permission events (fanotify(7)).
//!
//! A [`Group`] is one listener. The [`parse`] of what the kernel writes is a
//! pure function and touches no descriptor; only [`Group::read`] owns them.

mod group;
mod handle;
mod listeners;
mod notifier;
mod parse;

pub use group::{Answer, Buffer, Class, Group, Mask, Noted, Scope};
pub use handle::{Fsid, HANDLE_BYTES_MAX};
pub use listeners::{Listener, Listeners, listeners};
pub use notifier::{Change, Kind, Notifier};
pub use parse::{DirName, Event, Events, FileSystemError, Object, ParseError, Range, parse};

#[cfg(test)]
mod tests;
